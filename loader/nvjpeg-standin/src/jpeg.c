/* A JPEG's header and its planes at the stored sampling, by libjpeg-turbo's raw data. The Rust side is jpeg.rs. */
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#define MOST_COMPONENTS 4
#define MOST_ROWS (4 * DCTSIZE)

struct picture {
    uint32_t width, height, bits, num_components, num_in_scan;
    uint32_t across[MOST_COMPONENTS], down[MOST_COMPONENTS];
};

struct failure {
    struct jpeg_error_mgr errors;
    jmp_buf place;
};

static void on_error(j_common_ptr jpeg) { longjmp(((struct failure *)jpeg->err)->place, 1); }
static void on_message(j_common_ptr jpeg, int level) { (void)jpeg, (void)level; }

static void open_file(struct jpeg_decompress_struct *jpeg, struct failure *failure, const uint8_t *bytes, size_t num_bytes)
{
    jpeg->err = jpeg_std_error(&failure->errors);
    failure->errors.error_exit = on_error;
    failure->errors.emit_message = on_message;
    jpeg_create_decompress(jpeg);
    jpeg_mem_src(jpeg, bytes, (unsigned long)num_bytes);
}

/* Whether the header could be read. */
int nvjpeg_standin_header(const uint8_t *bytes, size_t num_bytes, struct picture *picture)
{
    struct jpeg_decompress_struct jpeg = {0};
    struct failure failure;
    volatile int is_read = 0;
    if (!setjmp(failure.place)) {
        open_file(&jpeg, &failure, bytes, num_bytes);
        is_read = jpeg_read_header(&jpeg, TRUE) == JPEG_HEADER_OK && jpeg.num_components <= MOST_COMPONENTS;
        for (int c = 0; is_read && c < jpeg.num_components; c++) {
            picture->across[c] = (uint32_t)jpeg.comp_info[c].h_samp_factor;
            picture->down[c] = (uint32_t)jpeg.comp_info[c].v_samp_factor;
        }
        picture->width = jpeg.image_width;
        picture->height = jpeg.image_height;
        picture->bits = (uint32_t)jpeg.data_precision;
        picture->num_components = (uint32_t)jpeg.num_components;
        picture->num_in_scan = (uint32_t)jpeg.comps_in_scan;
    }
    jpeg_destroy_decompress(&jpeg);
    return is_read;
}

/* The rows that raw data come in: `MOST_ROWS` of every component. NULL where there is no memory. */
static JSAMPLE *all_rows(struct jpeg_decompress_struct *jpeg, JSAMPROW rows[][MOST_ROWS], JSAMPARRAY planes[])
{
    size_t width = (jpeg->output_width + 4 * DCTSIZE) / DCTSIZE * DCTSIZE + 4 * DCTSIZE;
    JSAMPLE *memory = malloc(width * MOST_ROWS * (size_t)jpeg->num_components);
    for (int c = 0; memory != NULL && c < jpeg->num_components; c++) {
        planes[c] = rows[c];
        for (size_t row = 0; row < MOST_ROWS; row++)
            rows[c][row] = memory + ((size_t)c * MOST_ROWS + row) * width;
    }
    return memory;
}

static void copy_rows(struct jpeg_decompress_struct *jpeg, JSAMPROW rows[][MOST_ROWS], JDIMENSION first, uint8_t *const *channel, const size_t *pitch)
{
    for (int c = 0; c < jpeg->num_components; c++) {
        jpeg_component_info *component = &jpeg->comp_info[c];
        JDIMENSION at = first / (JDIMENSION)jpeg->max_v_samp_factor * (JDIMENSION)component->v_samp_factor;
        for (int row = 0; row < component->v_samp_factor * DCTSIZE; row++, at++)
            if (at < component->downsampled_height)
                memcpy(channel[c] + at * pitch[c], rows[c][row], component->downsampled_width);
    }
}

/* Writes every component's plane; 0 if the library refuses. */
int nvjpeg_standin_planes(const uint8_t *bytes, size_t num_bytes, uint8_t *const *channel, const size_t *pitch)
{
    struct jpeg_decompress_struct jpeg = {0};
    struct failure failure;
    JSAMPLE *volatile memory = NULL;
    JSAMPROW rows[MOST_COMPONENTS][MOST_ROWS];
    JSAMPARRAY planes[MOST_COMPONENTS];
    volatile int is_decoded = 0;
    if (!setjmp(failure.place)) {
        open_file(&jpeg, &failure, bytes, num_bytes);
        jpeg_read_header(&jpeg, TRUE);
        jpeg.raw_data_out = TRUE;
        jpeg.out_color_space = jpeg.jpeg_color_space;
        jpeg_start_decompress(&jpeg);
        memory = jpeg.num_components <= MOST_COMPONENTS ? all_rows(&jpeg, rows, planes) : NULL;
        while (memory != NULL && jpeg.output_scanline < jpeg.output_height) {
            JDIMENSION first = jpeg.output_scanline;
            jpeg_read_raw_data(&jpeg, planes, (JDIMENSION)jpeg.max_v_samp_factor * DCTSIZE);
            copy_rows(&jpeg, rows, first, channel, pitch);
        }
        is_decoded = memory != NULL;
    }
    jpeg_destroy_decompress(&jpeg);
    free(memory);
    return is_decoded;
}
