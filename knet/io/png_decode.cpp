// libpng reports errors by longjmp, which must not skip a destructor: the functions that call it hold plain
// pointers and numbers only, and what it needs outlives them in a Reader.
#include "knet/base/text.hpp"
#include "knet/io/image_codec.hpp"

#ifdef KNET_WITH_PNG
#include <png.h>

#include <algorithm>
#include <cstring>
#endif

namespace knet::io {

#ifdef KNET_WITH_PNG

namespace {

struct Reader {
  const ImageFile& file;
  std::size_t position = 0;
  char why[128] = "";
  png_structp png = nullptr;
  png_infop info = nullptr;

  explicit Reader(const ImageFile& f) : file(f) {}
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
};

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  auto& r = *static_cast<Reader*>(png_get_error_ptr(png));
  std::strncpy(r.why, message, sizeof r.why - 1);
  png_longjmp(png, 1);
}
void on_warning(png_structp, png_const_charp) {}
void on_read(png_structp png, png_bytep to, std::size_t n) {
  auto& r = *static_cast<Reader*>(png_get_io_ptr(png));
  if (n > r.file.bytes.size() - r.position) png_error(png, "truncated");
  std::memcpy(to, r.file.bytes.data() + r.position, n);
  r.position += n;
}

std::uint64_t number(const ImageFile& f, std::size_t at) {
  std::uint64_t v = 0;
  for (std::size_t i = 0; i < 4; ++i) v = v << 8 | std::to_integer<std::uint64_t>(f.bytes[at + i]);
  return v;
}
// libpng allocates some chunks by the length that they claim: do they all lie inside the file?
void check_chunks(const ImageFile& f) {
  constexpr std::uint64_t frame = 12;  // length, name, checksum
  for (std::size_t at = 8;;) {
    const std::size_t left = f.bytes.size() - at;
    if (left < frame || number(f, at) > left - frame)
      fail<IoError>("read_image: ", f.name, ": truncated PNG: a chunk at byte ", at,
                    " ends behind the file of ", f.bytes.size(), " bytes");
    const std::uint64_t name = number(f, at + 4), length = number(f, at);
    if (at == 8 && (name != 0x49484452 || length != 13))  // IHDR
      fail<IoError>("read_image: ", f.name, ": damaged PNG: its header is not the first chunk");
    if (name == 0x49454e44) return;  // IEND
    at += frame + static_cast<std::size_t>(length);
  }
}

struct Header {
  png_uint_32 width, height;
  int depth, colours, passes;
  std::size_t stored_row, row;  // bytes of a row in the file, and after conversion
  int channels, orientation;
};

// False after an error, whose text is in r.why.
bool read_header(Reader& r, Header& h) {
  if (setjmp(png_jmpbuf(r.png))) return false;
  png_set_read_fn(r.png, &r, on_read);
  // Chunks nobody asks for may be bombs of their own (compressed texts and profiles).
  static const unsigned char ignored[] = "iCCP\0zTXt\0iTXt\0tEXt\0sPLT\0hIST\0cHRM\0gAMA\0sRGB\0sCAL\0pCAL";
  png_set_keep_unknown_chunks(r.png, PNG_HANDLE_CHUNK_NEVER, ignored, sizeof ignored / 5);
  png_set_chunk_malloc_max(r.png, 1 << 20);
  png_set_user_limits(r.png, 0x3fffffff, 0x3fffffff);  // read_image has its own limit
  png_read_info(r.png, r.info);
  png_get_IHDR(r.png, r.info, &h.width, &h.height, &h.depth, &h.colours, nullptr, nullptr, nullptr);
  h.stored_row = png_get_rowbytes(r.png, r.info);
  h.orientation = 1;
  png_bytep exif = nullptr;
  png_uint_32 bytes = 0;
  if (png_get_eXIf_1(r.png, r.info, &bytes, &exif) && exif)
    h.orientation = exif_orientation({reinterpret_cast<const std::byte*>(exif), bytes});
  png_set_expand(r.png);  // palettes, few bits, transparent colours
  if (h.depth == 16) png_set_scale_16(r.png);
  h.passes = png_set_interlace_handling(r.png);
  png_read_update_info(r.png, r.info);
  h.row = png_get_rowbytes(r.png, r.info);
  h.channels = png_get_channels(r.png, r.info);
  return true;
}

bool read_rows(Reader& r, const Header& h, std::uint8_t* to) {
  if (setjmp(png_jmpbuf(r.png))) return false;
  for (int pass = 0; pass < h.passes; ++pass)
    for (png_uint_32 y = 0; y < h.height; ++y) png_read_row(r.png, to + y * h.row, nullptr);
  png_read_end(r.png, nullptr);
  return true;
}

[[noreturn]] void failed(const Reader& r) {
  fail<IoError>("read_image: ", r.file.name, ": damaged PNG: ", static_cast<const char*>(r.why), " (at byte ",
                r.position, " of ", r.file.bytes.size(), ')');
}

}  // namespace

Pixels decode_png(const ImageFile& f, const ImageOptions& o) {
  check_chunks(f);
  // The size comes first, in a chunk of its own: look at it before libpng allocates rows.
  check_image_size(f, o, number(f, 16), number(f, 20));
  Reader r(f);
  r.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &r, on_error, on_warning);
  r.info = r.png ? png_create_info_struct(r.png) : nullptr;
  if (!r.info) fail<IoError>("read_image: ", f.name, ": libpng can not start: out of memory");
  Header h{};
  if (!read_header(r, h)) failed(r);
  check_image_size(f, o, h.width, h.height);
  // Deflate makes at most 1032 bytes of one.
  if (h.stored_row * std::uint64_t{h.height} / 1032 > f.bytes.size())
    fail<IoError>("read_image: ", f.name, ": truncated PNG: ", f.bytes.size(), " bytes can not hold ",
                  h.width, " x ", h.height, " pixels");
  Pixels p;
  p.width = h.width, p.height = h.height, p.channels = h.channels, p.orientation = h.orientation;
  p.values.resize(h.row * std::size_t{h.height});
  if (!read_rows(r, h, p.values.data())) failed(r);
  return p;
}

#else

Pixels decode_png(const ImageFile& f, const ImageOptions&) {
  fail<IoError>("read_image: ", f.name, ": is PNG, and the library was built without libpng");
}

#endif

}  // namespace knet::io
