/* CRC32C (Castagnoli, polynomial 0x1EDC6F41, reflected: RFC 3720, appendix B.4) by the processor's own instruction where
 * it has one, else by a table. Over whole 64-bit words: what is shorter is padded with zeros by who calls.
 *
 * The running value starts at ~0 and is inverted at the end, as everywhere; this is done by the caller. */
#ifndef MFTCORE_CRC32C_H
#define MFTCORE_CRC32C_H

#include <string.h>

#include "base.h"

#if defined(__aarch64__)
#include <sys/auxv.h>
#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1 << 7)
#endif
#endif

static inline uint32_t mft_crc32c_word_by_table(uint32_t crc, uint64_t word)
{
    static const uint32_t nibbles[16] = {0x00000000, 0x105EC76F, 0x20BD8EDE, 0x30E349B1, 0x417B1DBC, 0x5125DAD3,
                                         0x61C69362, 0x7198540D, 0x82F63B78, 0x92A8FC17, 0xA24BB5A6, 0xB21572C9,
                                         0xC38D26C4, 0xD3D3E1AB, 0xE330A81A, 0xF36E6F75};

    for (int byte = 0; byte < 8; byte++, word >>= 8) {
        crc ^= (uint32_t)(word & 0xFF);
        crc = crc >> 4 ^ nibbles[crc & 15];
        crc = crc >> 4 ^ nibbles[crc & 15];
    }
    return crc;
}

#if defined(__x86_64__)
#define MFT_CRC32C_TARGET __attribute__((target("sse4.2")))
#define MFT_CRC32C_WORD(crc, word) ((uint32_t)__builtin_ia32_crc32di((crc), (word)))
#elif defined(__aarch64__)
#define MFT_CRC32C_TARGET __attribute__((target("+crc")))
#define MFT_CRC32C_WORD(crc, word) mft_crc32c_word_by_instruction((crc), (word))
MFT_CRC32C_TARGET static inline uint32_t mft_crc32c_word_by_instruction(uint32_t crc, uint64_t word)
{
    __asm__("crc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(word));
    return crc;
}
#else
#define MFT_CRC32C_TARGET
#define MFT_CRC32C_WORD(crc, word) mft_crc32c_word_by_table((crc), (word))
#endif

/* 1: this processor has the instruction. Asked once per handle, not per record. */
static inline int mft_crc32c_by_instruction(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("sse4.2") != 0;
#elif defined(__aarch64__)
    return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
#else
    return 0;
#endif
}

MFT_CRC32C_TARGET static inline uint32_t mft_crc32c_words_by_instruction(uint32_t crc, const unsigned char *from,
                                                                         uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t word;
        memcpy(&word, from + 8 * i, 8);
        crc = MFT_CRC32C_WORD(crc, word);
    }
    return crc;
}

static inline uint32_t mft_crc32c_words_by_table(uint32_t crc, const unsigned char *from, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t word;
        memcpy(&word, from + 8 * i, 8);
        crc = mft_crc32c_word_by_table(crc, word);
    }
    return crc;
}

/* `count` words from anywhere in private memory. */
static inline uint32_t mft_crc32c_words(uint32_t crc, const unsigned char *from, uint64_t count)
{
    return mft_crc32c_by_instruction() ? mft_crc32c_words_by_instruction(crc, from, count)
                                       : mft_crc32c_words_by_table(crc, from, count);
}

#endif
