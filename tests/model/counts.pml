/* The counts of messages of mftcore/include/mftcore/byte_ring.h: one side of the ring, which may be killed before and after
 * every store, its successors, and somebody who looks. (The index by itself, and the messages, are those of ring.pml: a
 * message is a record of which the length is a part.)
 *
 * Memory: as in seqlock.pml, the values that each word ever had, and an observer's floors.
 *
 * Promise. Who finds the index unmoved has the count that belongs to it; when nobody moves it any more, at the first look.
 * An index is here its own number, so that its count must be the same; its lowest bit is which count belongs to it, as in C.
 * The rest of the macros are mutants, each of which must be refuted (see models.txt). */
#ifndef RESTART
#define RESTART 1 /* so many kills are survived, the next is for good */
#endif
#ifndef INDEX_RELEASE
#define INDEX_RELEASE 1
#endif
#ifndef INDEX_ACQUIRE
#define INDEX_ACQUIRE 1
#endif
#ifndef COUNT_RELEASE
#define COUNT_RELEASE 1
#endif
#ifndef COUNT_ACQUIRE
#define COUNT_ACQUIRE 1
#endif
#ifndef LOOK_AGAIN
#define LOOK_AGAIN 1
#endif
#ifndef INDEX_FIRST
#define INDEX_FIRST 0
#endif
#ifndef ONE_COUNT
#define ONE_COUNT 0
#endif

#define LAST 5
#define DEPTH (LAST + RESTART + 3)
#define INDEX 0
#if ONE_COUNT
#define COUNT(index) 1
#else
#define COUNT(index) (1 + ((index) & 1))
#endif
#define PLACES 3
#define AT(place, n) ((place) * DEPTH + (n))
#define NEWEST(place) value[AT(place, newest[place])]

byte value[PLACES * DEPTH]; /* all that was ever stored, oldest first */
byte clock[PLACES * DEPTH]; /* the side's count of stores when it was stored */
byte newest[PLACES];
byte stores = 0;
byte crashes = 0;
bool dead = false;

inline store(place, x)
{
    d_step {
        stores++;
        newest[place]++;
        value[AT(place, newest[place])] = x;
        clock[AT(place, newest[place])] = stores
    }
}

#define DIE                                    \
    if                                         \
    :: crashes < RESTART -> crashes++; goto successor \
    :: crashes == RESTART -> crashes++; goto gone \
    :: skip                                    \
    fi

/* mft_bytes_commit, or mft_bytes_release */
proctype side()
{
    byte old, count;

successor:
    do
    :: NEWEST(INDEX) == LAST -> break
    :: else ->
        d_step {
            old = NEWEST(INDEX);
            count = NEWEST(COUNT(old)) + 1
        }
        DIE;
#if INDEX_FIRST
        store(INDEX, old + 1);
        DIE;
        store(COUNT(old + 1), count);
        DIE
#else
        store(COUNT(old + 1), count);
        DIE;
        store(INDEX, old + 1);
        DIE
#endif
    od;
gone:
    dead = true
}

byte seen[PLACES]; /* the observer's floors */

inline raise(to)
{
    p = 0;
    do
    :: p < PLACES ->
        do
        :: seen[p] < newest[p] && clock[AT(p, seen[p] + 1)] <= to -> seen[p]++
        :: else -> break
        od;
        p++
    :: else -> break
    od;
    p = 0
}

inline load(place, acquire, released, x)
{
    atomic {
        do
        :: seen[place] < newest[place] -> seen[place]++
        :: break
        od;
        x = value[AT(place, seen[place])];
        if
        :: (acquire) && (released) -> d_step { raise(clock[AT(place, seen[place])]) }
        :: else
        fi
    }
}

/* mft_bytes_counters */
proctype observer()
{
    byte index, count, again, p, last;
    bool late;

end:
    do
    :: atomic {
           late = dead;
           if
           :: late -> d_step { raise(255) } /* what was stored long ago is visible */
           :: else
           fi
       }
       load(INDEX, INDEX_ACQUIRE, INDEX_RELEASE, index);
       load(COUNT(index), COUNT_ACQUIRE, COUNT_RELEASE, count);
#if LOOK_AGAIN
       load(INDEX, 0, 0, again);
#else
       again = index;
#endif
       d_step {
           if
           :: index == again ->
               assert(count == index);
               assert(count >= last);
               assert(!late || count == NEWEST(INDEX));
               last = count
           :: else -> assert(!late)
           fi;
           index = 0; count = 0; again = 0; late = false
       }
    od
}

init { atomic { run side(); run observer() } }
