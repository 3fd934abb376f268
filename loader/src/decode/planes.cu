// From planes of luma and chroma at the stored sampling to RGB, equal to the bit to libjpeg-turbo: its "fancy" upsampling and its colour conversion
// in 16-bit fixed point. One launch for all images of a batch: blockIdx.y is the image, whose pixels the threads along x share, however many those are.
// Source: jdsample.c and jdcolor.c of libjpeg-turbo 3.

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

// An image; the mirror of Planes in mod.rs.
struct Planes {
    u64 luma, blue, red;      // Addresses of the planes; the chroma ones may be 0: then the image is grey.
    u64 out;                  // Address of the pixels: u8 [height, width, 3].
    u32 luma_stride, chroma_stride;  // Bytes from row to row.
    u32 width, height;
    u32 across, down;         // Pixels that share a chroma value along either axis.
};

static_assert(sizeof(Planes) == 56, "mod.rs has the same");

struct Plane {
    const u8 *bytes;
    u32 stride, width, height;
};

__device__ static u32 value(const Plane &plane, u32 x, u32 y) { return plane.bytes[(u64)y * plane.stride + x]; }

// The row that counts by a quarter: the one above an even row, that below an odd one, the edge rows going on outside.
__device__ static u32 other_row(const Plane &plane, u32 y) {
    u32 row = y / 2;
    if (y % 2) return row + 1 < plane.height ? row + 1 : row;
    return row > 0 ? row - 1 : 0;
}

// Three quarters of this row and one of the other, times 4.
__device__ static u32 two_rows(const Plane &plane, u32 x, u32 y) { return 3 * value(plane, x, y / 2) + value(plane, x, other_row(plane, y)); }

__device__ static u32 halved_across(const Plane &plane, u32 x, u32 y) {
    u32 column = x / 2, here = value(plane, column, y);
    if (x % 2) return column + 1 == plane.width ? here : (3 * here + value(plane, column + 1, y) + 2) >> 2;
    return column == 0 ? here : (3 * here + value(plane, column - 1, y) + 1) >> 2;
}

__device__ static u32 halved_twice(const Plane &plane, u32 x, u32 y) {
    u32 column = x / 2, here = two_rows(plane, column, y);
    if (x % 2) return column + 1 == plane.width ? (4 * here + 7) >> 4 : (3 * here + two_rows(plane, column + 1, y) + 7) >> 4;
    return column == 0 ? (4 * here + 8) >> 4 : (3 * here + two_rows(plane, column - 1, y) + 8) >> 4;
}

// The chroma at a pixel. Planes of two columns or less are repeated, and so are samplings other than by halves.
__device__ static u32 upsampled(const Plane &plane, u32 across, u32 down, u32 x, u32 y) {
    if (across == 1 && down == 2) return (two_rows(plane, x, y) + (y % 2 ? 2 : 1)) >> 2;
    if (across == 2 && plane.width > 2 && down == 1) return halved_across(plane, x, y);
    if (across == 2 && plane.width > 2 && down == 2) return halved_twice(plane, x, y);
    return value(plane, x / across, y / down);
}

__device__ static u8 clipped(int value) { return (u8)(value < 0 ? 0 : value > 255 ? 255 : value); }

__device__ static void make_pixel(const Planes &image, u32 at) {
    u32 x = at % image.width, y = at / image.width;
    int luma = ((const u8 *)image.luma)[(u64)y * image.luma_stride + x];
    u8 *out = (u8 *)image.out + (u64)at * 3;
    int red = luma, green = luma, blue = luma;
    if (image.blue != 0) {
        u32 width = (image.width + image.across - 1) / image.across, height = (image.height + image.down - 1) / image.down;
        Plane of_blue = {(const u8 *)image.blue, image.chroma_stride, width, height};
        Plane of_red = {(const u8 *)image.red, image.chroma_stride, width, height};
        int cb = (int)upsampled(of_blue, image.across, image.down, x, y) - 128;
        int cr = (int)upsampled(of_red, image.across, image.down, x, y) - 128;
        // 1.402, 1.772, 0.71414 and 0.34414 in 16-bit fixed point.
        red += (91881 * cr + 32768) >> 16;
        blue += (116130 * cb + 32768) >> 16;
        green += (-22554 * cb + 32768 - 46802 * cr) >> 16;
    }
    out[0] = clipped(red);
    out[1] = clipped(green);
    out[2] = clipped(blue);
}

extern "C" __global__ void rgb_of_planes(const Planes *images, u8 *) {
    const Planes &image = images[blockIdx.y];
    u32 num_pixels = image.width * image.height, num_threads = gridDim.x * blockDim.x;
    for (u32 at = blockIdx.x * blockDim.x + threadIdx.x; at < num_pixels; at += num_threads) make_pixel(image, at);
}
