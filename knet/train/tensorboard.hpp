// Event files for TensorBoard (https://www.tensorflow.org/tensorboard): tensorboard --logdir runs
//
//   SummaryWriter board("runs/first");
//   board.scalar("loss", loss, step);
//   board.histogram("weights/0", model.layers[0].weight.value(), step);
//   board.graph(model, x);
#pragma once
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "knet/autograd/trace.hpp"
#include "knet/train/log.hpp"

namespace knet {

struct SummaryWriterOptions {
  double flush_seconds = 5;      ///< what is older is written by the next call; 0: every call writes
  std::int64_t purge_step = -1;  ///< a resumed run: TensorBoard forgets what was logged from this step on
};

/// Adds a new event file to a folder (made when missing): several, of one run after the other, show as one.
/// Values are kept in memory until flush_seconds have passed, 256 KB have come, flush() is called or the
/// writer ends; they are then handed to the system in whole records. So a killed program leaves a readable
/// file, without its last seconds. Steps are any growing numbers. May be called from several threads.
class SummaryWriter {
 public:
  /// IoError when the folder cannot be made or written.
  explicit SummaryWriter(const std::string& folder, SummaryWriterOptions = {});
  /// Writes what is left; errors are printed to stderr.
  ~SummaryWriter();
  SummaryWriter(SummaryWriter&&) noexcept;
  SummaryWriter& operator=(SummaryWriter&&) noexcept;

  void scalar(std::string_view tag, double value, std::int64_t step);
  /// Of all elements that are finite, in 64 equal bins.
  void histogram(std::string_view tag, const Tensor& values, std::int64_t step);
  /// [H, W], [1, H, W] or [3, H, W], floating from 0 to 1 or u8, see io::save_png.
  void image(std::string_view tag, const Tensor& image, std::int64_t step);
  /// Markdown is shown as such.
  void text(std::string_view tag, std::string_view text, std::int64_t step);
  /// Once per run, for TensorBoard's HPARAMS page: board.hyperparameters({{"lr", 0.1}, {"hidden", 100}})
  void hyperparameters(const LogRow& values);
  /// What model(x...) does: operators with their shapes, in boxes by layer. Once per run.
  template <class M, class... X>
  void graph(M& model, const X&... x) {
    graph(trace(model, x...));
  }
  void graph(const Trace&);

  /// Hands everything to the system, and waits until it is on the disk.
  void flush();
  /// The event file.
  const std::string& path() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace knet
