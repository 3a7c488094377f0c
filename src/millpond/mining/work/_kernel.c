/* The hot path of share validation: SHA-256 twice, scrypt(1024,1,1), a share
 * from its coinbase to a verdict in one call, and scanning nonces.
 *
 * Written from FIPS 180-4 (SHA-256), RFC 7914 (scrypt) and RFC 2104 (HMAC).
 * `reference.py` says the same in Python and is what this is tested against.
 * SHA-256 uses the processor's own instructions where it has them, decided at
 * run time. Every length that comes from Python is checked before it is used.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#define HAVE_X86 1
#endif

enum { ALGO_SHA256D = 0, ALGO_SCRYPT = 1 };
enum { VERDICT_SHARE = 1, VERDICT_BLOCK = 2 };
enum { MAX_BRANCH = 32, MAX_EXTRANONCE = 64, MAX_COINBASE_PART = 8000000 };
enum { SCRYPT_N = 1024 };

/* ---- bytes and words ---------------------------------------------------- */

static inline uint32_t load_be(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void store_be(uint8_t *p, uint32_t x)
{
    p[0] = (uint8_t)(x >> 24);
    p[1] = (uint8_t)(x >> 16);
    p[2] = (uint8_t)(x >> 8);
    p[3] = (uint8_t)x;
}

static inline uint32_t load_le(const uint8_t *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static inline void store_le(uint8_t *p, uint32_t x)
{
    p[0] = (uint8_t)x;
    p[1] = (uint8_t)(x >> 8);
    p[2] = (uint8_t)(x >> 16);
    p[3] = (uint8_t)(x >> 24);
}

/* ---- SHA-256 ------------------------------------------------------------ */

static const uint32_t SHA_START[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static const uint32_t SHA_K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static inline uint32_t rotr(uint32_t x, int n) { return x >> n | x << (32 - n); }

/* One round; the caller renames the variables instead of moving them. */
#define ROUND(a, b, c, d, e, f, g, h, t)                                                   \
    do {                                                                                   \
        uint32_t t1 = h + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + (g ^ (e & (f ^ g))) + \
                      SHA_K[t] + w[t];                                                     \
        d += t1;                                                                           \
        h = t1 + (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + ((a & b) | (c & (a | b)));     \
    } while (0)

static void compress_portable(uint32_t state[8], const uint8_t *data, size_t blocks)
{
    for (; blocks > 0; blocks--, data += 64) {
        uint32_t w[64];
        for (int t = 0; t < 16; t++)
            w[t] = load_be(data + 4 * t);
        for (int t = 16; t < 64; t++) {
            uint32_t s0 = rotr(w[t - 15], 7) ^ rotr(w[t - 15], 18) ^ w[t - 15] >> 3;
            uint32_t s1 = rotr(w[t - 2], 17) ^ rotr(w[t - 2], 19) ^ w[t - 2] >> 10;
            w[t] = s1 + w[t - 7] + s0 + w[t - 16];
        }
        uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
        uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
        for (int t = 0; t < 64; t += 8) {
            ROUND(a, b, c, d, e, f, g, h, t);
            ROUND(h, a, b, c, d, e, f, g, t + 1);
            ROUND(g, h, a, b, c, d, e, f, t + 2);
            ROUND(f, g, h, a, b, c, d, e, t + 3);
            ROUND(e, f, g, h, a, b, c, d, t + 4);
            ROUND(d, e, f, g, h, a, b, c, t + 5);
            ROUND(c, d, e, f, g, h, a, b, t + 6);
            ROUND(b, c, d, e, f, g, h, a, t + 7);
        }
        state[0] += a;
        state[1] += b;
        state[2] += c;
        state[3] += d;
        state[4] += e;
        state[5] += f;
        state[6] += g;
        state[7] += h;
    }
}

#ifdef HAVE_X86
/* The instructions hold the state as ABEF and CDGH and do two rounds each. */
__attribute__((target("sha,sse4.1,ssse3"))) static void
compress_sha_ni(uint32_t state[8], const uint8_t *data, size_t blocks)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xB1);
    __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1B);
    __m128i abef = _mm_alignr_epi8(cdab, efgh, 8);
    __m128i cdgh = _mm_blend_epi16(efgh, cdab, 0xF0);

    for (; blocks > 0; blocks--, data += 64) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i w[4];
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            if (i < 4) {
                w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data + 16 * i)),
                                        big_endian);
            } else {
                __m128i x = _mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]);
                x = _mm_add_epi32(x, _mm_alignr_epi8(w[(i + 3) & 3], w[(i + 2) & 3], 4));
                w[i & 3] = _mm_sha256msg2_epu32(x, w[(i + 3) & 3]);
            }
            __m128i k = _mm_add_epi32(w[i & 3], _mm_loadu_si128((const __m128i *)(SHA_K + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, k);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(k, 0x0E));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    const __m128i feba = _mm_shuffle_epi32(abef, 0x1B);
    const __m128i dchg = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

static int cpu_has_sha_ni(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSSE3) || !(c & bit_SSE4_1))
        return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1);
}
#else
static int cpu_has_sha_ni(void) { return 0; }
#endif

static void (*compress)(uint32_t[8], const uint8_t *, size_t) = compress_portable;

static int select_compress(int want_sha_ni)
{
    compress = compress_portable;
#ifdef HAVE_X86
    if (want_sha_ni && cpu_has_sha_ni()) {
        compress = compress_sha_ni;
        return 1;
    }
#endif
    (void)want_sha_ni;
    return 0;
}

typedef struct {
    uint32_t state[8];
    uint64_t length;
    uint8_t buffer[64];
} Sha256;

static void sha_init(Sha256 *sha)
{
    memcpy(sha->state, SHA_START, sizeof sha->state);
    sha->length = 0;
}

static void sha_update(Sha256 *sha, const uint8_t *data, size_t size)
{
    size_t held = sha->length % 64;
    sha->length += size;
    if (held > 0) {
        size_t room = 64 - held;
        if (size < room) {
            if (size > 0)
                memcpy(sha->buffer + held, data, size);
            return;
        }
        memcpy(sha->buffer + held, data, room);
        compress(sha->state, sha->buffer, 1);
        data += room;
        size -= room;
    }
    if (size >= 64) {
        compress(sha->state, data, size / 64);
        data += size / 64 * 64;
        size %= 64;
    }
    if (size > 0)
        memcpy(sha->buffer, data, size);
}

static void sha_final(Sha256 *sha, uint8_t digest[32])
{
    size_t held = sha->length % 64;
    uint64_t bits = sha->length * 8;
    sha->buffer[held++] = 0x80;
    if (held > 56) {
        memset(sha->buffer + held, 0, 64 - held);
        compress(sha->state, sha->buffer, 1);
        held = 0;
    }
    memset(sha->buffer + held, 0, 56 - held);
    store_be(sha->buffer + 56, (uint32_t)(bits >> 32));
    store_be(sha->buffer + 60, (uint32_t)bits);
    compress(sha->state, sha->buffer, 1);
    for (int i = 0; i < 8; i++)
        store_be(digest + 4 * i, sha->state[i]);
}

/* SHA-256 of 32 bytes: one block. */
static void sha_of_digest(const uint8_t in[32], uint8_t out[32])
{
    uint32_t state[8];
    uint8_t block[64] = {0};
    memcpy(block, in, 32);
    block[32] = 0x80;
    block[62] = 0x01; /* 256 bits */
    memcpy(state, SHA_START, sizeof state);
    compress(state, block, 1);
    for (int i = 0; i < 8; i++)
        store_be(out + 4 * i, state[i]);
}

static void sha_final_twice(Sha256 *sha, uint8_t out[32])
{
    uint8_t once[32];
    sha_final(sha, once);
    sha_of_digest(once, out);
}

static void sha256d(const uint8_t *data, size_t size, uint8_t out[32])
{
    Sha256 sha;
    sha_init(&sha);
    sha_update(&sha, data, size);
    sha_final_twice(&sha, out);
}

/* Double hash of two nodes of a merkle tree: 64 bytes and one block of padding. */
static void sha256d_pair(const uint8_t left[32], const uint8_t right[32], uint8_t out[32])
{
    uint32_t state[8];
    uint8_t blocks[128] = {0}, once[32];
    memcpy(blocks, left, 32);
    memcpy(blocks + 32, right, 32);
    blocks[64] = 0x80;
    blocks[126] = 0x02; /* 512 bits */
    memcpy(state, SHA_START, sizeof state);
    compress(state, blocks, 2);
    for (int i = 0; i < 8; i++)
        store_be(once + 4 * i, state[i]);
    sha_of_digest(once, out);
}

/* ---- scrypt(N=1024, r=1, p=1) ------------------------------------------- */

typedef struct {
    Sha256 inner, outer;
} Hmac;

static void hmac_init(Hmac *hmac, const uint8_t *key, size_t size)
{
    uint8_t block[64] = {0};
    if (size > 64) {
        Sha256 sha;
        sha_init(&sha);
        sha_update(&sha, key, size);
        sha_final(&sha, block);
    } else if (size > 0) {
        memcpy(block, key, size);
    }
    for (int i = 0; i < 64; i++)
        block[i] ^= 0x36;
    sha_init(&hmac->inner);
    sha_update(&hmac->inner, block, 64);
    for (int i = 0; i < 64; i++)
        block[i] ^= 0x36 ^ 0x5c;
    sha_init(&hmac->outer);
    sha_update(&hmac->outer, block, 64);
}

/* One block of PBKDF2 with one iteration: HMAC(key, salt || index). */
static void pbkdf2_block(const Hmac *keyed, const uint8_t *salt, size_t size, uint32_t index,
                         uint8_t out[32])
{
    Hmac hmac = *keyed;
    uint8_t counter[4], digest[32];
    store_be(counter, index);
    sha_update(&hmac.inner, salt, size);
    sha_update(&hmac.inner, counter, 4);
    sha_final(&hmac.inner, digest);
    sha_update(&hmac.outer, digest, 32);
    sha_final(&hmac.outer, out);
}

typedef uint32_t Row __attribute__((vector_size(16)));

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define TURN(row, a, b, c, d) __builtin_shufflevector(row, row, a, b, c, d)
#endif
#endif
#ifndef TURN
#define TURN(row, a, b, c, d) __builtin_shuffle(row, (Row){a, b, c, d})
#endif
#define ROTL(row, n) ((row) << (n) | (row) >> (32 - (n)))

/* Words of a Salsa20 block by diagonals, so that a quarter-round is four lanes wide. */
static const uint8_t DIAGONAL[16] = {0, 5, 10, 15, 4, 9, 14, 3, 8, 13, 2, 7, 12, 1, 6, 11};

/* b = salsa20/8(b ^ other), in diagonal order. */
static inline void xor_salsa8(Row b[4], const Row other[4])
{
    Row a0 = b[0] ^= other[0], a1 = b[1] ^= other[1];
    Row a2 = b[2] ^= other[2], a3 = b[3] ^= other[3];
    for (int i = 0; i < 4; i++) {
        Row sum;
        sum = a0 + a3; a1 ^= ROTL(sum, 7);
        sum = a1 + a0; a2 ^= ROTL(sum, 9);
        sum = a2 + a1; a3 ^= ROTL(sum, 13);
        sum = a3 + a2; a0 ^= ROTL(sum, 18);
        a1 = TURN(a1, 3, 0, 1, 2);
        a2 = TURN(a2, 2, 3, 0, 1);
        a3 = TURN(a3, 1, 2, 3, 0);
        sum = a0 + a1; a3 ^= ROTL(sum, 7);
        sum = a3 + a0; a2 ^= ROTL(sum, 9);
        sum = a2 + a3; a1 ^= ROTL(sum, 13);
        sum = a1 + a2; a0 ^= ROTL(sum, 18);
        a1 = TURN(a1, 1, 2, 3, 0);
        a2 = TURN(a2, 2, 3, 0, 1);
        a3 = TURN(a3, 3, 0, 1, 2);
    }
    b[0] += a0;
    b[1] += a1;
    b[2] += a2;
    b[3] += a3;
}

static _Thread_local Row scrypt_memory[SCRYPT_N][8];

static void romix(uint8_t data[128])
{
    Row x[8];
    uint32_t words[32];
    for (int i = 0; i < 32; i++)
        words[i] = load_le(data + 4 * (i / 16 * 16 + DIAGONAL[i % 16]));
    memcpy(x, words, sizeof x);
    for (int i = 0; i < SCRYPT_N; i++) {
        memcpy(scrypt_memory[i], x, sizeof x);
        xor_salsa8(x, x + 4);
        xor_salsa8(x + 4, x);
    }
    for (int i = 0; i < SCRYPT_N; i++) {
        const Row *v = scrypt_memory[x[4][0] % SCRYPT_N];
        for (int j = 0; j < 8; j++)
            x[j] ^= v[j];
        xor_salsa8(x, x + 4);
        xor_salsa8(x + 4, x);
    }
    memcpy(words, x, sizeof x);
    for (int i = 0; i < 32; i++)
        store_le(data + 4 * (i / 16 * 16 + DIAGONAL[i % 16]), words[i]);
}

static void scrypt(const uint8_t *data, size_t size, uint8_t out[32])
{
    Hmac keyed;
    uint8_t block[128];
    hmac_init(&keyed, data, size);
    for (uint32_t i = 0; i < 4; i++)
        pbkdf2_block(&keyed, data, size, i + 1, block + 32 * i);
    romix(block);
    pbkdf2_block(&keyed, block, 128, 1, out);
}

/* ---- targets ------------------------------------------------------------ */

static int meets(const uint8_t hash[32], const uint8_t target[32])
{
    for (int i = 31; i >= 0; i--)
        if (hash[i] != target[i])
            return hash[i] < target[i];
    return 1;
}

/* Compact form of a number, rounded down; the highest bit of its mantissa is a sign. */
static uint32_t compact(const uint8_t value[32])
{
    int size = 32;
    while (size > 0 && value[size - 1] == 0)
        size--;
    uint32_t mantissa = 0;
    for (int i = 1; i <= 3; i++)
        mantissa = mantissa << 8 | (size >= i ? value[size - i] : 0);
    if (mantissa & 0x800000) {
        mantissa >>= 8;
        size++;
    }
    return (uint32_t)size << 24 | mantissa;
}

/* ---- arguments ---------------------------------------------------------- */

typedef struct {
    const uint8_t *data;
    size_t size;
} Bytes;

static int get_bytes(PyObject *object, Bytes *out)
{
    if (!PyBytes_Check(object)) {
        PyErr_SetString(PyExc_TypeError, "bytes expected");
        return 0;
    }
    out->data = (const uint8_t *)PyBytes_AS_STRING(object);
    out->size = (size_t)PyBytes_GET_SIZE(object);
    return 1;
}

static int get_sized(PyObject *object, size_t size, Bytes *out)
{
    if (!get_bytes(object, out))
        return 0;
    if (out->size != size) {
        PyErr_Format(PyExc_ValueError, "%zu bytes expected, %zu given", size, out->size);
        return 0;
    }
    return 1;
}

static int get_limited(PyObject *object, long long limit, long long *out)
{
    if (!PyLong_Check(object)) {
        PyErr_SetString(PyExc_TypeError, "int expected");
        return 0;
    }
    long long value = PyLong_AsLongLong(object);
    if (value == -1 && PyErr_Occurred())
        return 0;
    if (value < 0 || value > limit) {
        PyErr_SetString(PyExc_OverflowError, "number outside its range");
        return 0;
    }
    *out = value;
    return 1;
}

static int get_uint32(PyObject *object, uint32_t *out)
{
    long long value = 0;
    if (!get_limited(object, 0xFFFFFFFFLL, &value))
        return 0;
    *out = (uint32_t)value;
    return 1;
}

static int get_algorithm(PyObject *object, int *out)
{
    long long value = 0;
    if (!get_limited(object, 0x7FFFFFFF, &value))
        return 0;
    if (value != ALGO_SHA256D && value != ALGO_SCRYPT) {
        PyErr_SetString(PyExc_ValueError, "unknown algorithm");
        return 0;
    }
    *out = (int)value;
    return 1;
}

static int expect_count(Py_ssize_t given, Py_ssize_t wanted)
{
    if (given == wanted)
        return 1;
    PyErr_Format(PyExc_TypeError, "%zd arguments expected, %zd given", wanted, given);
    return 0;
}

/* ---- Work: what is the same for all shares of a job ---------------------- */

typedef struct {
    PyObject_HEAD
    int algorithm;
    Sha256 coinbase1; /* the state after coinbase1, so that it is hashed once a job */
    uint8_t *coinbase2;
    size_t coinbase2_size;
    size_t levels;
    uint8_t branch[MAX_BRANCH * 32];
    uint8_t prev_hash[32];
    uint32_t bits;
    uint8_t network_target[32];
} Work;

static PyObject *work_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *item[7];
    int algorithm = 0;
    Bytes coinbase1, coinbase2, branch, prev_hash, target;
    uint32_t bits = 0;
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0) {
        PyErr_SetString(PyExc_TypeError, "Work takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_UnpackTuple(args, "Work", 7, 7, &item[0], &item[1], &item[2], &item[3], &item[4],
                           &item[5], &item[6]))
        return NULL;
    if (!get_algorithm(item[0], &algorithm) || !get_bytes(item[1], &coinbase1) ||
        !get_bytes(item[2], &coinbase2) || !get_bytes(item[3], &branch) ||
        !get_sized(item[4], 32, &prev_hash) || !get_uint32(item[5], &bits) ||
        !get_sized(item[6], 32, &target))
        return NULL;
    if (branch.size % 32 != 0 || branch.size > 32 * MAX_BRANCH) {
        PyErr_SetString(PyExc_ValueError,
                        "a merkle branch is 32 bytes a level, 32 levels at most");
        return NULL;
    }
    if (coinbase1.size > MAX_COINBASE_PART || coinbase2.size > MAX_COINBASE_PART) {
        PyErr_SetString(PyExc_ValueError, "a part of the coinbase is too long");
        return NULL;
    }
    Work *self = (Work *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->coinbase2 = PyMem_Malloc(coinbase2.size > 0 ? coinbase2.size : 1);
    if (self->coinbase2 == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    self->algorithm = algorithm;
    sha_init(&self->coinbase1);
    sha_update(&self->coinbase1, coinbase1.data, coinbase1.size);
    memcpy(self->coinbase2, coinbase2.data, coinbase2.size);
    self->coinbase2_size = coinbase2.size;
    self->levels = branch.size / 32;
    memcpy(self->branch, branch.data, branch.size);
    memcpy(self->prev_hash, prev_hash.data, 32);
    self->bits = bits;
    memcpy(self->network_target, target.data, 32);
    return (PyObject *)self;
}

static void work_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyMem_Free(((Work *)object)->coinbase2);
    type->tp_free(object);
    Py_DECREF(type);
}

/* Coinbase, merkle root and header of a share, from the first five arguments. */
static int make_header(const Work *self, PyObject *const *args, uint8_t header[80])
{
    Bytes first, second;
    uint32_t ntime = 0, nonce = 0, version = 0;
    uint8_t root[32];
    if (!get_bytes(args[0], &first) || !get_bytes(args[1], &second) ||
        !get_uint32(args[2], &ntime) || !get_uint32(args[3], &nonce) ||
        !get_uint32(args[4], &version))
        return 0;
    if (first.size > MAX_EXTRANONCE || second.size > MAX_EXTRANONCE) {
        PyErr_SetString(PyExc_ValueError, "an extranonce is too long");
        return 0;
    }
    Sha256 sha = self->coinbase1;
    sha_update(&sha, first.data, first.size);
    sha_update(&sha, second.data, second.size);
    sha_update(&sha, self->coinbase2, self->coinbase2_size);
    sha_final_twice(&sha, root);
    for (size_t i = 0; i < self->levels; i++)
        sha256d_pair(root, self->branch + 32 * i, root);
    store_le(header, version);
    memcpy(header + 4, self->prev_hash, 32);
    memcpy(header + 36, root, 32);
    store_le(header + 68, ntime);
    store_le(header + 72, self->bits);
    store_le(header + 76, nonce);
    return 1;
}

static PyObject *work_header(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    uint8_t header[80];
    if (!expect_count(count, 5) || !make_header((Work *)object, args, header))
        return NULL;
    return PyBytes_FromStringAndSize((char *)header, 80);
}

static PyObject *work_check(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    const Work *self = (Work *)object;
    Bytes target;
    uint8_t header[80], hash[32];
    if (!expect_count(count, 6) || !get_sized(args[5], 32, &target) ||
        !make_header(self, args, header))
        return NULL;
    if (self->algorithm == ALGO_SCRYPT) {
        Py_BEGIN_ALLOW_THREADS
        scrypt(header, 80, hash);
        Py_END_ALLOW_THREADS
    } else {
        sha256d(header, 80, hash);
    }
    int verdict = (meets(hash, target.data) ? VERDICT_SHARE : 0) |
                  (meets(hash, self->network_target) ? VERDICT_BLOCK : 0);
    return Py_BuildValue("iy#I", verdict, (char *)hash, (Py_ssize_t)32, compact(hash));
}

static PyMethodDef work_methods[] = {
    {"header", (PyCFunction)(void (*)(void))work_header, METH_FASTCALL,
     "header(extranonce1, extranonce2, ntime, nonce, version): the 80 bytes of a header."},
    {"check", (PyCFunction)(void (*)(void))work_check, METH_FASTCALL,
     "check(extranonce1, extranonce2, ntime, nonce, version, share_target): verdict, hash, bits."},
    {NULL, NULL, 0, NULL}};

static PyType_Slot work_slots[] = {{Py_tp_new, work_new},
                                   {Py_tp_dealloc, work_dealloc},
                                   {Py_tp_methods, work_methods},
                                   {Py_tp_doc, "A job made ready for hashing; immutable."},
                                   {0, NULL}};

static PyType_Spec work_spec = {"millpond.mining.work._kernel.Work", sizeof(Work), 0,
                                Py_TPFLAGS_DEFAULT, work_slots};

/* ---- functions of the module --------------------------------------------- */

static PyObject *py_sha256d(PyObject *module, PyObject *object)
{
    (void)module;
    Bytes data;
    uint8_t hash[32];
    if (!get_bytes(object, &data))
        return NULL;
    sha256d(data.data, data.size, hash);
    return PyBytes_FromStringAndSize((char *)hash, 32);
}

static PyObject *py_scrypt(PyObject *module, PyObject *object)
{
    (void)module;
    Bytes data;
    uint8_t hash[32];
    if (!get_bytes(object, &data))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    scrypt(data.data, data.size, hash);
    Py_END_ALLOW_THREADS
    return PyBytes_FromStringAndSize((char *)hash, 32);
}

static PyObject *py_merkle_branch(PyObject *module, PyObject *object)
{
    (void)module;
    Bytes txids;
    uint8_t branch[64 * 32];
    size_t levels = 0;
    if (!get_bytes(object, &txids))
        return NULL;
    if (txids.size % 32 != 0) {
        PyErr_SetString(PyExc_ValueError, "txids are 32 bytes each");
        return NULL;
    }
    size_t count = txids.size / 32;
    /* One node more than there are leaves: an odd level repeats its last. */
    uint8_t *level = PyMem_Malloc(txids.size + 32);
    if (level == NULL)
        return PyErr_NoMemory();
    memcpy(level, txids.data, txids.size);
    while (count > 0) {
        memcpy(branch + 32 * levels++, level, 32);
        if (count % 2 == 0) {
            memcpy(level + 32 * count, level + 32 * (count - 1), 32);
            count++;
        }
        for (size_t i = 1; i < count; i += 2)
            sha256d_pair(level + 32 * i, level + 32 * (i + 1), level + 32 * (i / 2));
        count /= 2;
    }
    PyMem_Free(level);
    return PyBytes_FromStringAndSize((char *)branch, (Py_ssize_t)(32 * levels));
}

/* First good nonce in [start, end), or end. The first 64 bytes are hashed once. */
static uint64_t scan_sha256d(const uint8_t header[80], uint64_t start, uint64_t end,
                             const uint8_t target[32])
{
    uint32_t middle[8], state[8];
    uint8_t block[64] = {0}, once[32], hash[32];
    memcpy(middle, SHA_START, sizeof middle);
    compress(middle, header, 1);
    memcpy(block, header + 64, 16);
    block[16] = 0x80;
    block[62] = 0x02; /* 640 bits */
    block[63] = 0x80;
    for (uint64_t nonce = start; nonce < end; nonce++) {
        store_le(block + 12, (uint32_t)nonce);
        memcpy(state, middle, sizeof state);
        compress(state, block, 1);
        for (int i = 0; i < 8; i++)
            store_be(once + 4 * i, state[i]);
        sha_of_digest(once, hash);
        if (meets(hash, target))
            return nonce;
    }
    return end;
}

static uint64_t scan_scrypt(const uint8_t header[80], uint64_t start, uint64_t end,
                            const uint8_t target[32])
{
    uint8_t block[80], hash[32];
    memcpy(block, header, 80);
    for (uint64_t nonce = start; nonce < end; nonce++) {
        store_le(block + 76, (uint32_t)nonce);
        scrypt(block, 80, hash);
        if (meets(hash, target))
            return nonce;
    }
    return end;
}

static PyObject *py_scan(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    int algorithm = 0;
    Bytes header, target;
    uint32_t start = 0;
    long long wanted = 0;
    if (!expect_count(count, 5) || !get_algorithm(args[0], &algorithm) ||
        !get_sized(args[1], 80, &header) || !get_uint32(args[2], &start) ||
        !get_limited(args[3], 1LL << 32, &wanted) || !get_sized(args[4], 32, &target))
        return NULL;
    uint64_t end = (uint64_t)start + (uint64_t)wanted, found;
    if (end > 1ULL << 32)
        end = 1ULL << 32;
    Py_BEGIN_ALLOW_THREADS
    found = (algorithm == ALGO_SCRYPT ? scan_scrypt : scan_sha256d)(header.data, start, end,
                                                                   target.data);
    Py_END_ALLOW_THREADS
    if (found == end)
        return Py_BuildValue("OK", Py_None, (unsigned long long)(end - start));
    return Py_BuildValue("KK", (unsigned long long)found, (unsigned long long)(found - start + 1));
}

static PyObject *py_has_sha_ni(PyObject *module, PyObject *ignored)
{
    (void)module;
    (void)ignored;
    return PyBool_FromLong(cpu_has_sha_ni());
}

static PyObject *py_use_sha_ni(PyObject *module, PyObject *wanted)
{
    (void)module;
    int truth = PyObject_IsTrue(wanted);
    if (truth < 0)
        return NULL;
    return PyBool_FromLong(select_compress(truth));
}

static PyMethodDef module_methods[] = {
    {"sha256d", py_sha256d, METH_O, "sha256d(data): SHA-256 applied twice."},
    {"scrypt", py_scrypt, METH_O, "scrypt(data): scrypt(1024, 1, 1), the data its own salt."},
    {"merkle_branch", py_merkle_branch, METH_O, "merkle_branch(txids): siblings of leaf 0."},
    {"scan", (PyCFunction)(void (*)(void))py_scan, METH_FASTCALL,
     "scan(algorithm, header, start, count, target): first good nonce or None, hashes made."},
    {"has_sha_ni", py_has_sha_ni, METH_NOARGS, "Whether the processor hashes by itself."},
    {"use_sha_ni", py_use_sha_ni, METH_O, "Choose SHA-NI or portable code; returns what is used."},
    {NULL, NULL, 0, NULL}};

static int module_exec(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &work_spec, NULL);
    if (type == NULL)
        return -1;
    int failed = PyModule_AddObjectRef(module, "Work", type);
    Py_DECREF(type);
    if (failed < 0 || PyModule_AddIntConstant(module, "SHA256D", ALGO_SHA256D) < 0 ||
        PyModule_AddIntConstant(module, "SCRYPT", ALGO_SCRYPT) < 0 ||
        PyModule_AddIntConstant(module, "SHARE_MET", VERDICT_SHARE) < 0 ||
        PyModule_AddIntConstant(module, "BLOCK_MET", VERDICT_BLOCK) < 0)
        return -1;
    select_compress(1);
    return 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};

static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT, "_kernel", "Proof-of-work kernel; see reference.py.", 0,
    module_methods,        module_slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModuleDef_Init(&module_def); }
