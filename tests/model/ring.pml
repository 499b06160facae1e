/* The ring of mftcore/include/mftcore/ring.h: a producer and a consumer, each of which may be killed before and after
 * every store and is succeeded, and somebody who only looks at the counters.
 *
 * Memory. A slot is plain memory, so what C11 asks is that no two accesses race: each side's stores and reads are
 * counted, an acquire load of an index takes over what the other side had done and known when it stored it with
 * release, and whoever touches a slot must have taken over the other side's last use of it. An index may be read as old
 * as the reader's floor allows. A process learns of a death from the kernel, after the last store of the dead.
 *
 * Promise. Whole records, in the order of their pushes, none lost; one is seen again only when a consumer was killed
 * between reading and giving back. `popped` never exceeds `pushed` for one who reads them in this order, and a successor
 * never finds the indices out of their bounds. Indices begin just below 256 and are bytes: they come round once, as
 * they do at 2^64. Where the C code decides by a mark of its own when to look at the other's index anew, here it may do
 * so at any time.
 *
 * The rest of the macros are mutants, each of which must be refuted (see models.txt). */
#ifndef CAPACITY
#define CAPACITY 2
#endif
#ifndef PRODUCER_KILLS
#define PRODUCER_KILLS 1
#endif
#ifndef CONSUMER_KILLS
#define CONSUMER_KILLS 1
#endif
#ifndef TAIL_RELEASE
#define TAIL_RELEASE 1
#endif
#ifndef TAIL_ACQUIRE
#define TAIL_ACQUIRE 1
#endif
#ifndef HEAD_RELEASE
#define HEAD_RELEASE 1
#endif
#ifndef HEAD_ACQUIRE
#define HEAD_ACQUIRE 1
#endif
#ifndef OBSERVER
#define OBSERVER 0 /* 1: somebody looks at the counters; it multiplies the states, so not together with kills */
#endif
#ifndef COUNTER_ACQUIRE
#define COUNTER_ACQUIRE 1 /* the first load of mft_ring_counters, and of mft_ring_open */
#endif
#ifndef COUNTERS_SWAPPED
#define COUNTERS_SWAPPED 0
#endif
#ifndef COMMIT_FIRST
#define COMMIT_FIRST 0
#endif
#ifndef RELEASE_FIRST
#define RELEASE_FIRST 0
#endif
#ifndef ROOM_TOO_MUCH
#define ROOM_TOO_MUCH 0
#endif
#define ROOM (CAPACITY + ROOM_TOO_MUCH) /* records that the producer believes to fit */
#ifndef BLIND_SUCCESSOR
#define BLIND_SUCCESSOR 0 /* 1: goes on behind the record that the dead one was writing */
#endif

#define RECORDS (CAPACITY + 2)
#define FIRST (256 - CAPACITY - 1)
#define INDEX(n) ((FIRST + (n)) & 255)
#define BEHIND(a, b) (((a) - (b)) & 255) /* a - b, modulo 256 */

byte tail = 0, head = 0;                 /* newest, counted from 0; INDEX makes the index of it */
byte tail_clock[RECORDS + 1];            /* the producer's count of actions when this tail was stored; 0: never was */
byte head_clock[RECORDS + 1];
byte head_tail[RECORDS + 1];             /* which tail the consumer knew when it stored this head */

byte writes = 0, reads = 0;              /* actions of each side, that is of all its holders */
byte slots[2 * CAPACITY];                /* the slots, two words each; a record is its number from 1 */
byte written[CAPACITY], taken[CAPACITY]; /* when each slot was last used by each side */

/* what each side has taken over; a successor inherits it, for it knows all that the dead one knew */
byte p_head = 0, p_reads = 0;
byte c_tail = 0, c_writes = 0;
byte p_kills = 0, c_kills = 0;
byte last = 0; /* the newest record that was used */

#define P_DIE                                                         \
    if                                                                \
    :: p_kills < PRODUCER_KILLS -> p_kills++; goto successor          \
    :: skip                                                           \
    fi
#define C_DIE                                                         \
    if                                                                \
    :: c_kills < CONSUMER_KILLS -> c_kills++; goto successor          \
    :: skip                                                           \
    fi

inline producer_looks()
{
    atomic {
        do
        :: p_head < head -> p_head++
        :: p_head == 0 || head_clock[p_head] > 0 -> break
        od;
        d_step {
            if
            :: HEAD_ACQUIRE && HEAD_RELEASE && head_clock[p_head] > p_reads -> p_reads = head_clock[p_head]
            :: else
            fi
        }
    }
}

inline write_word(word, x)
{
    d_step {
        assert(taken[INDEX(at) % CAPACITY] <= p_reads); /* else it races with the consumer's reading */
        writes++;
        written[INDEX(at) % CAPACITY] = writes;
        slots[2 * (INDEX(at) % CAPACITY) + word] = x
    }
}

inline commit(n)
{
    d_step {
        tail = n;
        writes++;
        tail_clock[n] = writes
    }
}

proctype producer()
{
    byte head_seen, at, count;

successor:
    skip;
    d_step { /* mft_ring_open: the first push looks at head */
        head_seen = p_head; at = 0; count = 0;
        assert(BEHIND(INDEX(tail), INDEX(head_seen)) <= CAPACITY);
#if BLIND_SUCCESSOR
        if
        :: p_kills > 0 && tail < RECORDS && tail - p_head < CAPACITY -> commit(tail + 1)
        :: else
        fi
#endif
    }
    do
    :: tail == RECORDS -> break
    :: else ->
        if /* look anew, or believe what was seen */
        :: true ->
            producer_looks();
            head_seen = p_head;
            assert(BEHIND(INDEX(tail), INDEX(head_seen)) <= CAPACITY) /* else MFT_E_CORRUPT for nothing */
        :: true
        fi;
        if
        :: BEHIND(INDEX(tail), INDEX(head_seen)) < ROOM ->
            if /* one record, or a run of two that is not over the end */
            :: count = 1
            :: tail + 2 <= RECORDS && BEHIND(INDEX(tail), INDEX(head_seen)) + 2 <= ROOM &&
               INDEX(tail) % CAPACITY + 2 <= CAPACITY -> count = 2
            fi;
#if COMMIT_FIRST
            commit(tail + count);
            at = tail - count;
#else
            at = tail;
#endif
            do
            :: count > 0 ->
                P_DIE;
                write_word(0, at + 1);
                P_DIE;
                write_word(1, at + 1);
                d_step { at++; count-- }
            :: else -> break
            od;
            P_DIE;
#if !COMMIT_FIRST
            commit(at);
            P_DIE
#endif
        :: else -> skip
        fi
    od
}

inline consumer_looks()
{
    atomic {
        do
        :: c_tail < tail -> c_tail++
        :: c_tail == 0 || tail_clock[c_tail] > 0 -> break
        od;
        d_step {
            if
            :: TAIL_ACQUIRE && TAIL_RELEASE && tail_clock[c_tail] > c_writes -> c_writes = tail_clock[c_tail]
            :: else
            fi
        }
    }
}

inline read_word(word, x)
{
    d_step {
        assert(written[INDEX(at) % CAPACITY] <= c_writes); /* else it races with the producer's writing */
        reads++;
        taken[INDEX(at) % CAPACITY] = reads;
        x = slots[2 * (INDEX(at) % CAPACITY) + word]
    }
}

inline give_back(n)
{
    d_step {
        head = n;
        reads++;
        head_clock[n] = reads;
        head_tail[n] = c_tail
    }
}

proctype consumer()
{
    byte tail_seen, at, count, x, y;
    bool again; /* a predecessor may have used what was not given back */

successor:
    skip;
    d_step {
        tail_seen = head; at = 0; count = 0; x = 0; y = 0;
        again = c_kills > 0;
        assert(BEHIND(INDEX(c_tail), INDEX(head)) <= CAPACITY)
    }
    do
    :: head == RECORDS -> break
    :: else ->
        if
        :: true ->
            consumer_looks();
            tail_seen = c_tail;
            assert(BEHIND(INDEX(tail_seen), INDEX(head)) <= CAPACITY)
        :: true
        fi;
        if
        :: tail_seen > head ->
            if
            :: count = 1
            :: tail_seen >= head + 2 && INDEX(head) % CAPACITY + 2 <= CAPACITY -> count = 2
            fi;
#if RELEASE_FIRST
            give_back(head + count);
            at = head - count;
#else
            at = head;
#endif
            do
            :: count > 0 ->
                read_word(0, x);
                read_word(1, y);
                d_step {
                    assert(x == y); /* whole */
                    assert(x == at + 1); /* in order */
                    assert(x == last + 1 || (again && x <= last)); /* none lost, none twice but after a kill */
                    if
                    :: x > last -> last = x
                    :: else
                    fi;
                    at++; count--; x = 0; y = 0
                }
            :: else -> break
            od;
            C_DIE;
#if !RELEASE_FIRST
            d_step { give_back(at); again = again && head < last };
            C_DIE
#endif
        :: else -> skip
        fi
    od;
    assert(last == RECORDS)
}

inline any_tail()
{
    atomic {
        do
        :: pushed < tail -> pushed++
        :: pushed == 0 || tail_clock[pushed] > 0 -> break
        od
    }
}

/* mft_ring_counters, and mft_ring_open by one without a role: head before tail. */
proctype observer()
{
    byte popped, pushed;

#if COUNTERS_SWAPPED
    any_tail();
#endif
    atomic {
        do
        :: popped < head -> popped++
        :: popped == 0 || head_clock[popped] > 0 -> break
        od;
        if /* what the consumer knew when it stored this head */
        :: !COUNTERS_SWAPPED && COUNTER_ACQUIRE && HEAD_RELEASE && pushed < head_tail[popped] ->
            pushed = head_tail[popped]
        :: else
        fi
    }
#if !COUNTERS_SWAPPED
    any_tail();
#endif
    assert(popped <= pushed)
}

init {
    atomic {
        run producer(); run consumer();
#if OBSERVER
        run observer()
#endif
    }
}
