/* A record that is no whole number of words: its last word is read and written only as far as it belongs to it. The
 * record ends where its allocation does, so that AddressSanitizer sees a byte too many. */
#include "check.h"

#include "mftcore/seqlock.h"

static void records_of_every_length_are_written_and_read_to_the_byte(void)
{
    for (uint64_t bytes = 1; bytes <= 33; bytes++) {
        mft_spec_t spec = {.kind = MFT_KIND_SEQLOCK, .version = 1, .capacity = MFT_SEQLOCK_CELLS, .record_bytes = bytes};
        unsigned char *in = malloc(bytes), *out = malloc(bytes);
        mft_segment_t segment;
        mft_seqlock_t q;
        mft_stamp_t stamp;

        spec.data_bytes = mft_seqlock_data_bytes(bytes);
        CHECK(in != NULL && out != NULL && mft_segment_make(&segment, &spec) == MFT_OK);
        CHECK(mft_seqlock_open(&q, &segment) == MFT_OK);
        for (uint64_t i = 0; i < bytes; i++)
            in[i] = (unsigned char)(i + 1);
        CHECK(mft_seqlock_write(&q, in, 1, 1) == 1);
        CHECK(mft_seqlock_read(&q, out, bytes, &stamp) == MFT_OK && memcmp(in, out, bytes) == 0);
        free(in);
        free(out);
        mft_segment_detach(&segment);
    }
}

int main(void)
{
    RUN(records_of_every_length_are_written_and_read_to_the_byte);
    return 0;
}
