#include "knet/train/train.hpp"

#include "knet/base/text.hpp"
#include "knet/ops/arithmetic.hpp"

namespace knet::detail {

Epochs::Epochs(AnyModel m, Optimizer& opt, const TrainOptions& o) : opt_(opt), o_(o) {
  if (o.schedule) opt.schedule(o.schedule);
  if (o.clip_norm != 0) opt.clip_norm(o.clip_norm);
  run_.add_model(m, "model").optimizer(opt);
  if (o.patience < 0) fail<ValueError>("train: patience ", o.patience);
  if (o.patience == 0) return;
  stop_.emplace(m, EarlyStoppingOptions{.patience = o.patience, .maximize = o.maximize});
  run_.value("stop", *stop_).value("stopped", stopped_);
}
void Epochs::begin() {
  if (o_.checkpoints.on()) o_.checkpoints.resume(run_);
}
void Epochs::done(const TrainLog& t) {
  ++run_.epoch;
  run_.step = opt_.steps();
  run_.metrics = o_.evaluate ? o_.evaluate() : Metrics{};
  run_.metrics.emplace("loss", t.mean);
  if (stop_) {
    const auto it = run_.metrics.find(o_.metric);
    if (it == run_.metrics.end()) fail<ValueError>("train: evaluate() gives no metric \"", o_.metric, "\"");
    stopped_ = (*stop_)(it->second);
  }
  if (o_.checkpoints.on()) o_.checkpoints.save(run_);
  if (o_.on_epoch && !o_.on_epoch({static_cast<int>(run_.epoch), t.mean, run_.metrics})) stopped_ = true;
}
void Epochs::finish() {
  if (stop_ && stop_->best_at() > 0) stop_->restore();
}

double count_labels(const Tensor& y) { return (y != static_cast<double>(ignore)).to(f64).sum().item(); }

double batch_weight(const Tensor& last) {
  if (!last || last.ndim() == 0) return 1;
  return last.dtype() == i64 || last.dtype() == i32 ? count_labels(last) : static_cast<double>(last.size(0));
}
void check_accumulate(int batches) {
  if (batches < 1) fail<ValueError>("accumulate: ", batches, " batches (expected at least 1)");
}

}  // namespace knet::detail
