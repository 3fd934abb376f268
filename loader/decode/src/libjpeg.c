/* Drives libjpeg-turbo: one file in memory, whole rows out. The Rust side is libjpeg.rs.
 *
 * An error of the library jumps back to the function of this file that was called, so that no jump crosses Rust. Data that end early
 * are told from data that only lack their end marker: at the end of the file one end marker is made up, and a decoder that then still
 * wants bits says so (JWRN_HIT_MARKER). Where that cannot be told (several scans, arithmetic coding), the end marker must be there. */
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

/* Rows asked for in one call. */
#define MOST_ROWS 16

enum status { DONE = 0, ENDED = 1, FAILED = 2 };

/* What the frame header says. */
struct frame {
    uint32_t width, height, num_components, bits;
};

struct decoder {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    int max_scans;
    int is_in_its_only_scan;
    int has_ended;    /* the end marker was made up */
    int lacks_data;   /* some pixels were made up */
    int lacks_ending; /* they were made up because the file ends */
    jmp_buf failed;
    char message[JMSG_LENGTH_MAX];
};

static struct decoder *of(j_common_ptr jpeg) { return (struct decoder *)jpeg->client_data; }

static void on_error(j_common_ptr jpeg)
{
    struct decoder *decoder = of(jpeg);
    jpeg->err->format_message(jpeg, decoder->message);
    longjmp(decoder->failed, 1);
}

static void on_message(j_common_ptr jpeg, int level)
{
    struct decoder *decoder = of(jpeg);
    if (level >= 0)
        return;
    jpeg->err->num_warnings++;
    if (jpeg->err->msg_code == JWRN_HIT_MARKER) {
        decoder->lacks_data = 1;
        decoder->lacks_ending |= decoder->has_ended;
    }
}

/* A small progressive file can ask for hours of work. */
static void count_scans(j_common_ptr jpeg)
{
    struct decoder *decoder = of(jpeg);
    if (decoder->jpeg.input_scan_number <= decoder->max_scans)
        return;
    snprintf(decoder->message, sizeof decoder->message, "it has more than %d scans", decoder->max_scans);
    longjmp(decoder->failed, 1);
}

static void nothing(j_decompress_ptr jpeg) { (void)jpeg; }

static boolean at_the_end(j_decompress_ptr jpeg)
{
    static const JOCTET END_OF_IMAGE[] = { 0xff, JPEG_EOI };
    struct decoder *decoder = of((j_common_ptr)jpeg);
    if (!decoder->is_in_its_only_scan || jpeg->arith_code || decoder->has_ended)
        return FALSE;
    decoder->has_ended = 1;
    decoder->source.next_input_byte = END_OF_IMAGE;
    decoder->source.bytes_in_buffer = sizeof END_OF_IMAGE;
    return TRUE;
}

static void skip(j_decompress_ptr jpeg, long num_bytes)
{
    struct jpeg_source_mgr *source = jpeg->src;
    size_t num_skipped = num_bytes < 0 ? 0 : (size_t)num_bytes;
    if (num_skipped > source->bytes_in_buffer)
        num_skipped = source->bytes_in_buffer;
    source->next_input_byte += num_skipped;
    source->bytes_in_buffer -= num_skipped;
}

/* A decompressor as new: one that has read a file keeps its tables, and a file that lacks them would be decoded with another's. */
static void renew(struct decoder *decoder)
{
    jpeg_destroy_decompress(&decoder->jpeg);
    jpeg_create_decompress(&decoder->jpeg);
    decoder->jpeg.src = &decoder->source;
    decoder->jpeg.progress = &decoder->progress;
}

/* Whether the library could be set up. */
static int set_up(struct decoder *decoder)
{
    if (setjmp(decoder->failed))
        return 0;
    renew(decoder);
    return 1;
}

/* A decoder, or NULL if there is no memory for one. */
struct decoder *image_decode_jpeg_new(int max_scans)
{
    struct decoder *decoder = calloc(1, sizeof *decoder);
    if (decoder == NULL)
        return NULL;
    decoder->max_scans = max_scans;
    decoder->jpeg.err = jpeg_std_error(&decoder->errors);
    decoder->errors.error_exit = on_error;
    decoder->errors.emit_message = on_message;
    decoder->jpeg.client_data = decoder;
    if (!set_up(decoder)) {
        free(decoder);
        return NULL;
    }
    decoder->source.init_source = nothing;
    decoder->source.fill_input_buffer = at_the_end;
    decoder->source.skip_input_data = skip;
    decoder->source.resync_to_restart = jpeg_resync_to_restart;
    decoder->source.term_source = nothing;
    decoder->progress.progress_monitor = count_scans;
    return decoder;
}

void image_decode_jpeg_free(struct decoder *decoder)
{
    jpeg_destroy_decompress(&decoder->jpeg);
    free(decoder);
}

/* What went wrong in the call that answered FAILED. */
const char *image_decode_jpeg_message(const struct decoder *decoder) { return decoder->message; }

static enum status failure(struct decoder *decoder)
{
    /* The arithmetic decoder cannot suspend: it takes the end of the file for an error. */
    int ended = decoder->errors.msg_code == JERR_CANT_SUSPEND;
    jpeg_abort_decompress(&decoder->jpeg);
    return ended ? ENDED : FAILED;
}

/* Begins with another file, which must stay in place until its rows are read. */
enum status image_decode_jpeg_begin(struct decoder *decoder, const uint8_t *bytes, size_t num_bytes, struct frame *frame)
{
    struct jpeg_decompress_struct *jpeg = &decoder->jpeg;
    decoder->errors.msg_code = 0;
    decoder->errors.num_warnings = 0;
    decoder->is_in_its_only_scan = decoder->has_ended = decoder->lacks_data = decoder->lacks_ending = 0;
    decoder->source.next_input_byte = bytes;
    decoder->source.bytes_in_buffer = num_bytes;
    if (setjmp(decoder->failed))
        return failure(decoder);
    renew(decoder);
    if (jpeg_read_header(jpeg, TRUE) == JPEG_SUSPENDED)
        return ENDED;
    frame->width = jpeg->image_width;
    frame->height = jpeg->image_height;
    frame->num_components = (uint32_t)jpeg->num_components;
    frame->bits = (uint32_t)jpeg->data_precision;
    return DONE;
}

/* Writes all rows, `num_channels` bytes a pixel: 1 grey, 3 RGB, 4 CMYK. `num_bytes` is the room at `pixels`; `is_damaged` tells whether
 * the library complained, or met no end marker. */
enum status image_decode_jpeg_rows(struct decoder *decoder, int num_channels, uint8_t *pixels, size_t num_bytes, int *is_damaged)
{
    struct jpeg_decompress_struct *jpeg = &decoder->jpeg;
    volatile int has_all_rows = 0;
    size_t pitch;
    if (setjmp(decoder->failed)) {
        enum status status = failure(decoder);
        *is_damaged = 1;
        /* What follows the last row does not matter, unless it is where the data of the rows went. The arithmetic decoder does not
         * notice when it lacks data. */
        return has_all_rows && !decoder->lacks_data && !jpeg->arith_code ? DONE : status;
    }
    jpeg->out_color_space = num_channels == 1 ? JCS_GRAYSCALE : num_channels == 3 ? JCS_RGB : JCS_CMYK;
    if (!jpeg_start_decompress(jpeg))
        return ENDED;
    decoder->is_in_its_only_scan = !jpeg_has_multiple_scans(jpeg);
    pitch = (size_t)jpeg->output_width * (size_t)jpeg->output_components;
    if (jpeg->output_components != num_channels || pitch * jpeg->output_height != num_bytes) {
        snprintf(decoder->message, sizeof decoder->message, "its rows are not those of its header");
        longjmp(decoder->failed, 1);
    }
    while (jpeg->output_scanline < jpeg->output_height) {
        JSAMPROW rows[MOST_ROWS];
        JDIMENSION num_rows = jpeg->output_height - jpeg->output_scanline;
        num_rows = num_rows < MOST_ROWS ? num_rows : MOST_ROWS;
        for (JDIMENSION at = 0; at < num_rows; at++)
            rows[at] = pixels + (jpeg->output_scanline + at) * pitch;
        if (jpeg_read_scanlines(jpeg, rows, num_rows) == 0 || decoder->lacks_ending)
            return ENDED;
    }
    has_all_rows = 1;
    *is_damaged = !jpeg_finish_decompress(jpeg) || decoder->has_ended || decoder->errors.num_warnings > 0;
    return DONE;
}
