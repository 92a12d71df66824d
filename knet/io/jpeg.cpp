// libjpeg's errors come by longjmp, which must not skip a destructor: the functions that call it hold plain
// pointers and numbers only, and what it needs outlives them in a struct of the caller.
#include "knet/io/jpeg.hpp"

#include "knet/base/text.hpp"
#include "knet/io/atomic_file.hpp"
#include "knet/io/image_codec.hpp"

#ifdef KNET_WITH_JPEG
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
// libjpeg's headers need <cstdio>, and jerror.h the other one, before them.
#include <jpeglib.h>
//
#include <jerror.h>
#endif

namespace knet::io {

#ifdef KNET_WITH_JPEG

bool has_jpeg() { return true; }

namespace {

// libjpeg goes on after damage, with a warning and grey pixels. Those are errors here.
bool is_damage(int message) {
  switch (message) {
    case JWRN_BOGUS_PROGRESSION:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_JPEG_EOF:
    case JWRN_MUST_RESYNC:
    case JWRN_NOT_SEQUENTIAL: return true;
    default: return false;
  }
}

struct Errors {
  jpeg_error_mgr manager{};
  jmp_buf jump;
  char why[JMSG_LENGTH_MAX] = "";
};
[[noreturn]] void leave(j_common_ptr c) {
  auto& e = *reinterpret_cast<Errors*>(c->err);
  c->err->format_message(c, e.why);
  longjmp(e.jump, 1);
}
void on_message(j_common_ptr c, int level) {
  if (level < 0 && is_damage(c->err->msg_code)) leave(c);
}
void on_output(j_common_ptr) {}
void start(Errors& e) {
  jpeg_std_error(&e.manager);
  e.manager.error_exit = leave;
  e.manager.emit_message = on_message;
  e.manager.output_message = on_output;
}

struct Reader {
  Errors errors;
  jpeg_decompress_struct c{};
  jpeg_source_mgr source{};
  jpeg_progress_mgr progress{};
  JSAMPROW rows[1] = {nullptr};

  Reader() = default;
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() { jpeg_destroy_decompress(&c); }
};

void nothing(j_decompress_ptr) {}
::boolean at_end(j_decompress_ptr c) {
  ERREXIT(c, JERR_INPUT_EOF);
  return FALSE;
}
void skip(j_decompress_ptr c, long n) {
  if (n <= 0) return;
  if (static_cast<std::size_t>(n) > c->src->bytes_in_buffer) ERREXIT(c, JERR_INPUT_EOF);
  c->src->next_input_byte += n;
  c->src->bytes_in_buffer -= static_cast<std::size_t>(n);
}
// A progressive file of a megabyte may have thousands of scans, each costing a walk over the whole image.
void on_progress(j_common_ptr c) {
  constexpr int most_scans = 500;
  if (c->is_decompressor && reinterpret_cast<j_decompress_ptr>(c)->input_scan_number > most_scans)
    ERREXIT(c, JERR_BAD_PROGRESSION);
}

// False after an error, whose text is in r.errors.why.
bool read_header(Reader& r, const ImageFile& f) {
  start(r.errors);
  r.c.err = &r.errors.manager;
  if (setjmp(r.errors.jump)) return false;
  jpeg_create_decompress(&r.c);
  r.source.init_source = nothing, r.source.term_source = nothing;
  r.source.fill_input_buffer = at_end, r.source.skip_input_data = skip;
  r.source.resync_to_restart = jpeg_resync_to_restart;
  r.source.next_input_byte = reinterpret_cast<const JOCTET*>(f.bytes.data());
  r.source.bytes_in_buffer = f.bytes.size();
  r.c.src = &r.source;
  r.progress.progress_monitor = on_progress;
  r.c.progress = &r.progress;
  jpeg_save_markers(&r.c, JPEG_APP0 + 1, 0xffff);
  jpeg_read_header(&r.c, TRUE);
  switch (r.c.jpeg_color_space) {
    case JCS_GRAYSCALE: r.c.out_color_space = JCS_GRAYSCALE; break;
    case JCS_CMYK:
    case JCS_YCCK: r.c.out_color_space = JCS_CMYK; break;
    default: r.c.out_color_space = JCS_RGB;
  }
  return true;
}

bool read_pixels(Reader& r, std::uint8_t* to, std::size_t row) {
  if (setjmp(r.errors.jump)) return false;
  jpeg_start_decompress(&r.c);
  while (r.c.output_scanline < r.c.output_height) {
    r.rows[0] = to + r.c.output_scanline * row;
    jpeg_read_scanlines(&r.c, r.rows, 1);
  }
  jpeg_finish_decompress(&r.c);
  return true;
}

[[noreturn]] void failed(const Reader& r, const ImageFile& f) {
  const bool end = r.errors.manager.msg_code == JERR_INPUT_EOF;
  fail<IoError>("read_image: ", f.name, ": ", end ? "truncated JPEG" : "damaged JPEG", ": ",
                end ? "it ends too early" : static_cast<const char*>(r.errors.why), " (at byte ",
                f.bytes.size() - r.source.bytes_in_buffer, " of ", f.bytes.size(), ')');
}

int orientation(const jpeg_decompress_struct& c) {
  for (auto* m = c.marker_list; m; m = m->next) {
    const std::span data(reinterpret_cast<const std::byte*>(m->data), m->data_length);
    if (m->marker == JPEG_APP0 + 1 && data.size() > 6 && m->data[0] == 'E' && m->data[1] == 'x' &&
        m->data[2] == 'i' && m->data[3] == 'f' && m->data[4] == 0)
      return exif_orientation(data.subspan(6));
  }
  return 1;
}

// Four inks to three lights, in place. Adobe's programs write inks inverted.
void to_rgb(std::vector<std::uint8_t>& v, bool inverted) {
  std::size_t to = 0;
  for (std::size_t i = 0; i + 3 < v.size(); i += 4) {
    const unsigned flip = inverted ? 0 : 255, light = v[i + 3] ^ flip;
    for (std::size_t k = 0; k < 3; ++k) {
      const unsigned product = light * (v[i + k] ^ flip);
      v[to++] = static_cast<std::uint8_t>((product + 127) / 255);
    }
  }
  v.resize(to);
}

}  // namespace

Pixels decode_jpeg(const ImageFile& f, const ImageOptions& o) {
  Reader r;
  if (!read_header(r, f)) failed(r, f);
  check_image_size(f, o, r.c.image_width, r.c.image_height);
  // A block of 8 x 8 takes a bit at least in Huffman's code.
  if (!r.c.arith_code && std::uint64_t{r.c.image_width} * r.c.image_height / 512 > f.bytes.size())
    fail<IoError>("read_image: ", f.name, ": truncated JPEG: ", f.bytes.size(), " bytes can not hold ",
                  r.c.image_width, " x ", r.c.image_height, " pixels");
  Pixels p;
  p.width = r.c.image_width, p.height = r.c.image_height, p.orientation = orientation(r.c);
  const bool inks = r.c.out_color_space == JCS_CMYK;
  p.channels = r.c.out_color_space == JCS_GRAYSCALE ? 1 : inks ? 4 : 3;
  const auto row = static_cast<std::size_t>(p.width * p.channels);
  p.values.resize(row * static_cast<std::size_t>(p.height));
  if (!read_pixels(r, p.values.data(), row)) failed(r, f);
  if (inks) {
    to_rgb(p.values, r.c.saw_Adobe_marker);
    p.channels = 3;
  }
  return p;
}

namespace {

struct Writer {
  Errors errors;
  jpeg_compress_struct c{};
  unsigned char* file = nullptr;
  unsigned long bytes = 0;
  JSAMPROW rows[1] = {nullptr};

  Writer() = default;
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() {
    jpeg_destroy_compress(&c);
    std::free(file);
  }
};

bool compress(Writer& w, const Pixels& p, const JpegOptions& o) {
  start(w.errors);
  w.c.err = &w.errors.manager;
  if (setjmp(w.errors.jump)) return false;
  jpeg_create_compress(&w.c);
  jpeg_mem_dest(&w.c, &w.file, &w.bytes);
  w.c.image_width = static_cast<JDIMENSION>(p.width);
  w.c.image_height = static_cast<JDIMENSION>(p.height);
  w.c.input_components = static_cast<int>(p.channels);
  w.c.in_color_space = p.channels == 3 ? JCS_RGB : JCS_GRAYSCALE;
  jpeg_set_defaults(&w.c);
  jpeg_set_quality(&w.c, o.quality, TRUE);
  if (!o.subsample) w.c.comp_info[0].h_samp_factor = w.c.comp_info[0].v_samp_factor = 1;
  w.c.optimize_coding = TRUE;
  if (o.progressive) jpeg_simple_progression(&w.c);
  jpeg_start_compress(&w.c, TRUE);
  while (w.c.next_scanline < w.c.image_height) {
    w.rows[0] = const_cast<JSAMPROW>(p.values.data()) +
                std::size_t{w.c.next_scanline} * static_cast<std::size_t>(p.width * p.channels);
    jpeg_write_scanlines(&w.c, w.rows, 1);
  }
  jpeg_finish_compress(&w.c);
  return true;
}

}  // namespace

void save_jpeg(const std::string& path, const Tensor& image, const JpegOptions& o) {
  const Pixels p = to_pixels("save_jpeg", image);
  if (p.width > JPEG_MAX_DIMENSION || p.height > JPEG_MAX_DIMENSION)
    fail<ShapeError>("save_jpeg: image is ", image.shape(), ", expected at most ", JPEG_MAX_DIMENSION,
                     " pixels in a direction");
  if (o.quality < 1 || o.quality > 100)
    fail<ValueError>("save_jpeg: quality = ", o.quality, " (expected 1 to 100)");
  Writer w;
  if (!compress(w, p, o)) fail<IoError>("save_jpeg: ", path, ": ", static_cast<const char*>(w.errors.why));
  write_file(path, {reinterpret_cast<const std::byte*>(w.file), w.bytes});
}

#else

bool has_jpeg() { return false; }

Pixels decode_jpeg(const ImageFile& f, const ImageOptions&) {
  fail<IoError>("read_image: ", f.name, ": is JPEG, and the library was built without libjpeg");
}

void save_jpeg(const std::string& path, const Tensor&, const JpegOptions&) {
  fail<IoError>("save_jpeg: ", path, ": the library was built without libjpeg");
}

#endif

}  // namespace knet::io
