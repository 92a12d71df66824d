// What a layer says when it refuses an argument.
#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "knet/base/error.hpp"

/// f throws a knet::Error whose message has all the parts.
inline void expect_refusal(const std::function<void()>& f, const std::vector<std::string>& parts) {
  std::string got = "nothing was thrown";
  try {
    f();
  } catch (const knet::Error& e) {
    got = e.what();
  }
  for (const auto& p : parts) EXPECT_NE(got.find(p), std::string::npos) << got << "\nlacks " << p;
}
