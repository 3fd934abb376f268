// Views of decoded images in device memory, equal to the bit to those of augment/cpu.
//
// Kernels in the order in which they run, all with one table: a descriptor for each view. blockIdx.y is the view; the threads along x share what the
// kernel makes of it (positions, pixels, runs of pixels, rows or columns of bytes): each makes one, and goes on by as many as there are threads. However
// many blocks there are along x, a view is made whole. A kernel that has nothing to do for a view leaves it alone.
// No thread reads what another one of the same launch writes, so their order is free; the sum of grey values is one of integers.
//
// Equal bits need: no multiply and add contracted into one (--fmad=false), divisions rounded as IEEE 754 says, the order of operations as in Rust.
// Also compiled by the host's compiler, with host_words.h before it, and run thread by thread in tests.

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

// Fraction bits of a weight of the resize, and of one of the blur.
#define WEIGHT_BITS 22
#define BOX_BITS 24
#define NUM_PASSES 3
// Pixels that a thread of sum_grey takes at once.
#define RUN 16
// 1 in the saturation, and in the weights, of a hue that is turned back into a colour: a product of two values of 255.
#define ONE (255u * 255u)

// Output positions start .. start + num of a resize from in_size to out_size positions.
struct Axis {
    u64 taps;  // Offset in the scratch: first inputs [num], counts [num], weights [most, num], all of 32 bits.
    u32 in_size, out_size, start, num;
};

enum OpKind { BLEND_WITH_BLACK, BLEND_WITH_MEAN, SATURATE, SHIFT_HUE, GREY };

struct Op {
    u32 kind;
    u32 shift;     // Of SHIFT_HUE, in 256ths of a turn.
    float factor;  // Of the blends.
};

// What is made of one image; the mirror of View in tables.rs. Everything is in pixels unless it says bytes; offsets are bytes in the scratch.
struct View {
    u64 crop;        // Address of the first byte of the crop.
    u64 out;         // Address of the view: u8 [size, size, 3].
    u64 between;     // Offset of what the first pass of the resize writes.
    u64 blurred;     // Offset of the blur's second buffer, as large as the view.
    u64 grey_sum;    // Offset of the sum of the grey values that the contrast needs.
    Axis across, down;
    u32 stride;      // Bytes from one row of the image to the next.
    u32 size;
    u32 rows_first;  // Whether the first pass goes along the rows.
    u32 first_row;   // Then: the first row of the crop that the second pass needs.
    u32 between_width, between_height;
    u32 flip;
    u32 num_before;  // Operations before the contrast.
    u32 num_ops;
    Op ops[5];
    u32 blurs;
    u32 box_radius, box_inner, box_edge;
    u32 solarizes;
};

static_assert(sizeof(View) == 208, "tables.rs has the same");

struct Pixel { u8 red, green, blue; };

__device__ static u32 thread_of_view() { return blockIdx.x * blockDim.x + threadIdx.x; }
__device__ static u32 threads_of_view() { return gridDim.x * blockDim.x; }

// ---- Taps: Keys' cubic with a = -0.5, widened when shrinking, as Pillow rounds its weights.

__device__ static double cubic(double x) {
    x = fabs(x);
    if (x < 1.0) return (1.5 * x - 2.5) * x * x + 1.0;
    if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5;
    return 0.0;
}

__device__ static int fixed_point(double weight) {
    double scaled = weight * (double)(1 << WEIGHT_BITS);
    return (int)(scaled + (scaled < 0.0 ? -0.5 : 0.5));
}

__device__ static void make_taps_of(const Axis &axis, u32 at, u8 *scratch) {
    double scale = (double)axis.in_size / (double)axis.out_size;
    double filter_scale = scale > 1.0 ? scale : 1.0;
    double centre = ((double)(axis.start + at) + 0.5) * scale;
    double support = 2.0 * filter_scale;
    double low = centre - support + 0.5;
    u32 first = low > 0.0 ? (u32)low : 0;
    u32 end = (u32)(centre + support + 0.5);
    if (end > axis.in_size) end = axis.in_size;
    double inverse = 1.0 / filter_scale, sum = 0.0;
    for (u32 position = first; position < end; position++) sum += cubic(((double)position - centre + 0.5) * inverse);
    u32 *taps = (u32 *)(scratch + axis.taps);
    taps[at] = first;
    taps[axis.num + at] = end - first;
    int *weights = (int *)taps + 2 * (u64)axis.num + at;
    for (u32 position = first; position < end; position++) {
        double weight = cubic(((double)position - centre + 0.5) * inverse);
        weights[(u64)(position - first) * axis.num] = fixed_point(weight / sum);
    }
}

// Positions of the two axes. Clears the sum of grey values, too.
extern "C" __global__ void make_taps(const View *views, u8 *scratch) {
    const View &view = views[blockIdx.y];
    if (thread_of_view() == 0) *(u32 *)(scratch + view.grey_sum) = 0;
    for (u32 at = thread_of_view(); at < view.across.num + view.down.num; at += threads_of_view()) {
        bool is_across = at < view.across.num;
        make_taps_of(is_across ? view.across : view.down, is_across ? at : at - view.across.num, scratch);
    }
}

// ---- Resize: two passes of weighted sums, each rounded and clipped to bytes.

// The pixel at a position of an axis; `from` is that of input 0, `step` the bytes to the next one.
__device__ static Pixel filtered(const Axis &axis, u32 at, const u8 *scratch, const u8 *from, u64 step) {
    const u32 *taps = (const u32 *)(scratch + axis.taps);
    u32 num = taps[axis.num + at];
    const u32 *weights = taps + 2 * (u64)axis.num + at;
    u32 half = 1u << (WEIGHT_BITS - 1), sums[3] = {half, half, half};
    for (u32 tap = 0; tap < num; tap++) {
        const u8 *bytes = from + (taps[at] + tap) * step;
        u32 weight = weights[(u64)tap * axis.num];
        for (int c = 0; c < 3; c++) sums[c] += bytes[c] * weight;
    }
    u8 clipped[3];
    for (int c = 0; c < 3; c++) {
        int sum = (int)sums[c] >> WEIGHT_BITS;
        clipped[c] = (u8)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
    }
    return Pixel{clipped[0], clipped[1], clipped[2]};
}

__device__ static void put(u8 *to, Pixel pixel) {
    to[0] = pixel.red;
    to[1] = pixel.green;
    to[2] = pixel.blue;
}

// Where a column of the view goes.
__device__ static u32 mirrored(const View &view, u32 x) { return view.flip ? view.size - 1 - x : x; }

__device__ static void first_pass_of(const View &view, u32 at, u8 *scratch) {
    u32 x = at % view.between_width, y = at / view.between_width;
    const u8 *crop = (const u8 *)view.crop;
    u8 *to = scratch + view.between;
    if (view.rows_first) {
        const u8 *row = crop + (u64)(view.first_row + y) * view.stride;
        put(to + ((u64)y * view.between_width + mirrored(view, x)) * 3, filtered(view.across, x, scratch, row, 3));
    } else {
        put(to + (u64)at * 3, filtered(view.down, y, scratch, crop + (u64)x * 3, view.stride));
    }
}

// Pixels between the passes.
extern "C" __global__ void resize_first(const View *views, u8 *scratch) {
    const View &view = views[blockIdx.y];
    u32 num_pixels = view.between_width * view.between_height;
    for (u32 at = thread_of_view(); at < num_pixels; at += threads_of_view()) first_pass_of(view, at, scratch);
}

__device__ static void second_pass_of(const View &view, u32 at, const u8 *scratch) {
    u32 x = at % view.size, y = at / view.size;
    const u8 *between = scratch + view.between;
    u64 row_bytes = (u64)view.between_width * 3;
    u8 *out = (u8 *)view.out;
    if (view.rows_first) {
        const u8 *column = between + (u64)x * 3 - view.first_row * row_bytes;
        put(out + (u64)at * 3, filtered(view.down, y, scratch, column, row_bytes));
    } else {
        u32 to = y * view.size + mirrored(view, x);
        put(out + (u64)to * 3, filtered(view.across, x, scratch, between + y * row_bytes, 3));
    }
}

// Pixels of the view.
extern "C" __global__ void resize_second(const View *views, u8 *scratch) {
    const View &view = views[blockIdx.y];
    for (u32 at = thread_of_view(); at < view.size * view.size; at += threads_of_view()) second_pass_of(view, at, scratch);
}

// ---- Colour: the operations of a jitter in drawn order, and grey.

__device__ static u8 luma(Pixel pixel) {
    return (u8)((pixel.red * 19595u + pixel.green * 38470u + pixel.blue * 7471u + 0x8000u) >> 16);
}

// In single precision, clipped, truncated.
__device__ static u8 blend(u8 from, u8 to, float factor) {
    float blended = (float)from + factor * (float)((int)to - (int)from);
    return (u8)(blended < 0.0f ? 0.0f : blended > 255.0f ? 255.0f : blended);
}

__device__ static Pixel blended(u8 from, Pixel to, float factor) {
    return Pixel{blend(from, to.red, factor), blend(from, to.green, factor), blend(from, to.blue, factor)};
}

// The whole part of turns * 255 without the product being rounded; turns lies in 0 .. 1.
__device__ static u32 whole_of_255(float turns) {
    const float ulp_is_one = 8388608.0f;
    float shifted = turns * 255.0f + ulp_is_one;
    float nearest = shifted - ulp_is_one;
    return (u32)nearest - (256.0f * turns - nearest < turns ? 1u : 0u);
}

struct Hsv { u32 hue, saturation, value; };

// See augment/cpu/hue.rs, which has the same steps.
__device__ static Hsv hsv_of(Pixel pixel) {
    int red = pixel.red, green = pixel.green, blue = pixel.blue;
    int value = red > green ? red : green, low = red < green ? red : green;
    value = value > blue ? value : blue;
    low = low < blue ? low : blue;
    int middle = red + green + blue - value - low, chroma = value - low;
    float fall = (float)(value - middle) / (float)(chroma > 1 ? chroma : 1);
    bool blue_is_low = blue == low, red_is_low = red == low;
    float corner;
    bool ascends;
    if (red == value) {
        corner = blue_is_low ? 1.0f : -1.0f;
        ascends = !blue_is_low;
    } else if (green == value) {
        corner = blue_is_low ? 1.0f : 3.0f;
        ascends = blue_is_low;
    } else {
        corner = red_is_low ? 3.0f : 5.0f;
        ascends = red_is_low;
    }
    float sixths = corner + (ascends ? fall : -fall);
    float turns = sixths / 6.0f + (sixths < 0.0f ? 1.0f : 0.0f);
    float saturation = (float)chroma / (float)(value > 1 ? value : 1);
    return Hsv{whole_of_255(turns), (u32)(saturation * 255.0f), (u32)value};
}

// value * (1 - saturation * weight), rounded.
__device__ static u8 level(Hsv hsv, u32 weight) {
    return (u8)((hsv.value * (ONE - hsv.saturation * weight) + ONE / 2) / ONE);
}

__device__ static Pixel rgb_of(Hsv hsv) {
    u32 sextant = hsv.hue * 6 / 255, part = hsv.hue * 6 % 255;
    u8 falling = level(hsv, part), rising = level(hsv, 255 - part), low = level(hsv, 255), value = (u8)hsv.value;
    switch (sextant) {
    case 1: return Pixel{falling, value, low};
    case 2: return Pixel{low, value, rising};
    case 3: return Pixel{low, falling, value};
    case 4: return Pixel{rising, low, value};
    case 5: return Pixel{value, low, falling};
    default: return Pixel{value, rising, low};
    }
}

__device__ static Pixel applied(const Op &op, Pixel pixel, u8 mean) {
    switch (op.kind) {
    case BLEND_WITH_BLACK: return blended(0, pixel, op.factor);
    case BLEND_WITH_MEAN: return blended(mean, pixel, op.factor);
    case SATURATE: return blended(luma(pixel), pixel, op.factor);
    case SHIFT_HUE: {
        Hsv hsv = hsv_of(pixel);
        hsv.hue = (hsv.hue + op.shift) & 255;
        return rgb_of(hsv);
    }
    default: {
        u8 grey = luma(pixel);
        return Pixel{grey, grey, grey};
    }
    }
}

__device__ static u8 solarized(u8 value) { return value < 128 ? value : 255 - value; }

// The operations before the contrast on a run of pixels that ends before `num_pixels`, and the sum of the grey values after them.
__device__ static u32 grey_of_run(const View &view, u32 run, u32 num_pixels) {
    u32 start = run * RUN, end = start + RUN < num_pixels ? start + RUN : num_pixels, sum = 0;
    for (u32 at = start; at < end; at++) {
        u8 *bytes = (u8 *)view.out + (u64)at * 3;
        Pixel pixel = {bytes[0], bytes[1], bytes[2]};
        for (u32 op = 0; op < view.num_before; op++) pixel = applied(view.ops[op], pixel, 0);
        put(bytes, pixel);
        sum += luma(pixel);
    }
    return sum;
}

// Runs of pixels; nothing where no contrast follows.
extern "C" __global__ void sum_grey(const View *views, u8 *scratch) {
    const View &view = views[blockIdx.y];
    if (view.num_before == view.num_ops || view.ops[view.num_before].kind != BLEND_WITH_MEAN) return;
    u32 num_pixels = view.size * view.size, num_runs = (num_pixels + RUN - 1) / RUN, sum = 0;
    for (u32 run = thread_of_view(); run < num_runs; run += threads_of_view()) sum += grey_of_run(view, run, num_pixels);
    if (sum != 0) atomicAdd((u32 *)(scratch + view.grey_sum), sum);
}

// Pixels: the operations from the contrast on; solarises what is not blurred afterwards.
extern "C" __global__ void colour(const View *views, u8 *scratch) {
    const View &view = views[blockIdx.y];
    u32 num_pixels = view.size * view.size;
    bool solarizes = view.solarizes && !view.blurs;
    if (view.num_before == view.num_ops && !solarizes) return;
    u8 mean = (u8)((double)*(const u32 *)(scratch + view.grey_sum) / (double)num_pixels + 0.5);
    for (u32 at = thread_of_view(); at < num_pixels; at += threads_of_view()) {
        u8 *bytes = (u8 *)view.out + (u64)at * 3;
        Pixel pixel = {bytes[0], bytes[1], bytes[2]};
        for (u32 op = view.num_before; op < view.num_ops; op++) pixel = applied(view.ops[op], pixel, mean);
        if (solarizes) pixel = Pixel{solarized(pixel.red), solarized(pixel.green), solarized(pixel.blue)};
        put(bytes, pixel);
    }
}

// ---- Blur: three extended boxes along the rows, then three along the columns, each rounded to bytes.

// One pass along a line of `size` bytes that are `step` apart. The box slides; the ends of the line go on outside of it.
__device__ static void box_along(const View &view, const u8 *from, u8 *to, u64 step, bool solarizes) {
    int last = (int)view.size - 1, radius = (int)view.box_radius;
    u32 inside = 0;
    for (int at = -radius - 1; at < radius; at++) inside += from[(u64)(at < 0 ? 0 : at > last ? last : at) * step];
    for (int at = 0; at <= last; at++) {
        int before = at - radius - 1, entering = at + radius, after = entering + 1;
        u32 left = from[(u64)(before < 0 ? 0 : before) * step];
        inside += from[(u64)(entering > last ? last : entering) * step] - left;
        u32 outside = left + from[(u64)(after > last ? last : after) * step];
        u8 value = (u8)((inside * view.box_inner + outside * view.box_edge + (1u << (BOX_BITS - 1))) >> BOX_BITS);
        to[(u64)at * step] = solarizes ? solarized(value) : value;
    }
}

// All passes along a line that starts at a byte; each goes from one buffer to the other, and the last may solarise.
__device__ static void blur_line(const View &view, u8 *from, u8 *to, u64 step, bool solarizes) {
    for (int pass = 0; pass < NUM_PASSES; pass++) {
        box_along(view, from, to, step, solarizes && pass == NUM_PASSES - 1);
        u8 *swap = from;
        from = to;
        to = swap;
    }
}

// Channels of rows. They end in the second buffer.
extern "C" __global__ void blur_rows(const View *views, u8 *scratch) {
    const View &view = views[blockIdx.y];
    if (!view.blurs) return;
    for (u32 line = thread_of_view(); line < view.size * 3; line += threads_of_view()) {
        u64 start = (u64)(line / 3) * view.size * 3 + line % 3;
        blur_line(view, (u8 *)view.out + start, scratch + view.blurred + start, 3, false);
    }
}

// Columns of bytes, from the second buffer back to the view.
extern "C" __global__ void blur_columns(const View *views, u8 *scratch) {
    const View &view = views[blockIdx.y];
    if (!view.blurs) return;
    for (u32 line = thread_of_view(); line < view.size * 3; line += threads_of_view()) {
        blur_line(view, scratch + view.blurred + line, (u8 *)view.out + line, (u64)view.size * 3, view.solarizes);
    }
}
