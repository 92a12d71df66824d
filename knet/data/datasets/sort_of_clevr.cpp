#include "knet/data/datasets/sort_of_clevr.hpp"

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <optional>

#include "knet/base/text.hpp"
#include "knet/device/random.hpp"

namespace knet::datasets {
namespace {

constexpr int side = 75, radius = 5, middle = side / 2, colours = 6, subtypes = 3, per_kind = 10;
constexpr std::array<const char*, colours> colour_names = {"red",    "green", "blue",
                                                           "orange", "grey",  "yellow"};
constexpr std::uint8_t rgb[colours][3] = {{255, 0, 0},   {0, 255, 0},     {0, 0, 255},
                                          {255, 156, 0}, {128, 128, 128}, {255, 255, 0}};

// Numbers of one image.
class Dice {
 public:
  Dice(std::uint64_t seed, std::uint64_t image) : key_{seed, image} {}
  int below(int n) {
    return static_cast<int>(std::uint64_t{philox::number(key_, i_++)} * static_cast<std::uint64_t>(n) >> 32);
  }

 private:
  RandomKey key_;
  std::uint64_t i_ = 0;
};

struct Object {
  int x, y;
  bool circle;
};
using Scene = std::array<Object, colours>;

// Never in the middle column or row, where left and right, top and bottom would have no answer.
int place(Dice& dice) {
  const int v = radius + dice.below(side - 2 * radius - 1);
  return v < middle ? v : v + 1;
}

int distance(const Object& a, const Object& b) {
  return (a.x - b.x) * (a.x - b.x) + (a.y - b.y) * (a.y - b.y);
}

// The shape of the object closest to (sign 1) or furthest from (-1) another; none where two of different
// shapes are equally far.
std::optional<bool> shape_at_end(const Scene& s, std::size_t of, int sign) {
  std::size_t best = of;
  bool tie = false;
  for (std::size_t k = 0; k < colours; ++k) {
    if (k == of) continue;
    const int d = sign * distance(s[of], s[k]), b = best == of ? 0 : sign * distance(s[of], s[best]);
    if (best == of || d < b) {
      best = k;
      tie = false;
    } else if (d == b && s[k].circle != s[best].circle) {
      tie = true;
    }
  }
  if (tie) return {};
  return s[best].circle;
}

Scene draw_scene(Dice& dice) {
  for (;;) {
    Scene s{};
    for (std::size_t k = 0; k < colours; ++k) {
      // Five objects keep at most 5 * 23 * 23 of the 64 * 64 places from the sixth.
      const auto free = [&] {
        for (std::size_t j = 0; j < k; ++j) {
          if (std::max(std::abs(s[j].x - s[k].x), std::abs(s[j].y - s[k].y)) < 2 * radius + 2) return false;
        }
        return true;
      };
      do {
        s[k].x = place(dice);
        s[k].y = place(dice);
      } while (!free());
      s[k].circle = dice.below(2) == 1;
    }
    bool clear = true;
    for (std::size_t k = 0; k < colours; ++k)
      clear = clear && shape_at_end(s, k, 1) && shape_at_end(s, k, -1);
    if (clear) return s;
  }
}

void draw(const Scene& s, std::uint8_t* image) {
  std::fill_n(image, 3 * side * side, std::uint8_t{255});
  for (std::size_t k = 0; k < colours; ++k) {
    for (int dy = -radius; dy <= radius; ++dy) {
      for (int dx = -radius; dx <= radius; ++dx) {
        if (s[k].circle && dx * dx + dy * dy > radius * radius) continue;
        for (int c = 0; c < 3; ++c) image[(c * side + s[k].y + dy) * side + s[k].x + dx] = rgb[k][c];
      }
    }
  }
}

// Classes: yes, no, square, circle, 1 ... 6.
std::int64_t answer(const Scene& s, std::size_t of, bool relational, int subtype) {
  const auto shape = [](bool circle) { return circle ? 3 : 2; };
  const auto yes = [](bool b) { return b ? 0 : 1; };
  if (!relational)
    return subtype == 0 ? shape(s[of].circle) : subtype == 1 ? yes(s[of].x < middle) : yes(s[of].y < middle);
  if (subtype < 2) return shape(*shape_at_end(s, of, subtype == 0 ? 1 : -1));
  return 3 + std::ranges::count(s, s[of].circle, &Object::circle);
}

}  // namespace

SortOfClevr sort_of_clevr(std::int64_t n, std::uint64_t seed) {
  if (n < 1) fail<ValueError>("sort_of_clevr: ", n, " images (expected at least 1)");
  SortOfClevr r{Tensor::make({n, 3, side, side}, u8, cpu),
                Tensor::make({n, 2 * per_kind, colours + 2 + subtypes}, f32, cpu),
                Tensor::make({n, 2 * per_kind}, i64, cpu), Tensor::make({n, colours, 3}, i64, cpu)};
  std::uint8_t* image = r.images.data<std::uint8_t>();
  float* question = r.questions.data<float>();
  std::int64_t* result = r.answers.data<std::int64_t>();
  std::int64_t* object = r.objects.data<std::int64_t>();
  std::fill_n(question, r.questions.numel(), 0.0F);
  for (std::int64_t i = 0; i < n; ++i, image += 3 * side * side) {
    Dice dice(seed, static_cast<std::uint64_t>(i));
    const Scene s = draw_scene(dice);
    draw(s, image);
    for (const Object& o : s) {
      *object++ = o.x;
      *object++ = o.y;
      *object++ = o.circle;
    }
    for (const bool relational : {false, true}) {
      std::array<int, colours * subtypes> all{};  // every question there is; the first ten of a random order
      std::iota(all.begin(), all.end(), 0);
      for (int k = 0; k < per_kind; ++k, question += colours + 2 + subtypes) {
        std::swap(all[static_cast<std::size_t>(k)],
                  all[static_cast<std::size_t>(k + dice.below(colours * subtypes - k))]);
        const int of = all[static_cast<std::size_t>(k)] / subtypes,
                  subtype = all[static_cast<std::size_t>(k)] % subtypes;
        question[of] = question[colours + relational] = question[colours + 2 + subtype] = 1;
        *result++ = answer(s, static_cast<std::size_t>(of), relational, subtype);
      }
    }
  }
  const Device d = default_device();
  return {r.images.to(d), r.questions.to(d), r.answers.to(d), r.objects.to(d)};
}

std::string sort_of_clevr_text(const Tensor& question) {
  const auto bits = question.to_vector<float>();
  const auto one_of = [&](std::size_t from, std::size_t n) {
    const auto a = bits.begin() + static_cast<std::ptrdiff_t>(from), b = a + static_cast<std::ptrdiff_t>(n);
    if (std::count(a, b, 1.0F) != 1 || std::count(a, b, 0.0F) != static_cast<std::ptrdiff_t>(n) - 1)
      fail<ValueError>("sort_of_clevr_text: bits ", from, " to ", from + n - 1, " are not one 1 among zeros");
    return static_cast<std::size_t>(std::find(a, b, 1.0F) - a);
  };
  if (bits.size() != colours + 2 + subtypes)
    fail<ShapeError>("sort_of_clevr_text: a question of ", bits.size(), " bits (expected ",
                     colours + 2 + subtypes, ')');
  const std::string colour = colour_names[one_of(0, colours)];
  const std::size_t kind = one_of(colours, 2), subtype = one_of(colours + 2, subtypes);
  if (kind == 0)
    return subtype == 0   ? "What is the shape of the " + colour + " object?"
           : subtype == 1 ? "Is the " + colour + " object on the left?"
                          : "Is the " + colour + " object in the upper half?";
  return subtype == 0   ? "What is the shape of the object closest to the " + colour + " object?"
         : subtype == 1 ? "What is the shape of the object furthest from the " + colour + " object?"
                        : "How many objects have the shape of the " + colour + " object?";
}

}  // namespace knet::datasets
