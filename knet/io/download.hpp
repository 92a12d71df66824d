// Fetching a file over https. Only where the library was built with libcurl.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace knet::io {

/// Whether the library was built with libcurl.
bool can_download();

/// The bytes behind an https address. Gives up when no connection is made within 15 s, when less than 1 kB/s
/// arrives for 30 s, after 15 minutes, or when there are more than `limit` bytes. IoError says why; whoever
/// calls must check what came against a checksum.
std::vector<std::byte> download(const std::string& url, std::uint64_t limit);

}  // namespace knet::io
