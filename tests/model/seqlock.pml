/* The seqlock of mftcore/include/mftcore/seqlock.h, and so the published book: one writer that may be killed before and
 * after every store, its successor, and one reader, under the memory model of C11.
 *
 * Memory. Each word keeps all values ever stored in it. A load may take any that is not older than what the reader is
 * known to have seen of that word: this is every reordering of stores and of loads, every delay in a store buffer or
 * cache, that C11 allows between threads of which one only stores and the other only loads. An acquire load of a value
 * that a release store put there raises the floors of all words to what the writer had stored by then.
 *
 * Promise. An accepted copy is the whole value of its version, of one writer, and never older than the last; a reader
 * that starts after the writer died for good gets the last whole value at the first try.
 *
 * With BROADCAST the reader is that of mftcore/include/mftcore/broadcast.h, which reads the same cells in order. Promise:
 * every record that it takes is the whole one of its number, of one writer; it takes each or counts it as lost; it loses
 * none unless the writer has begun to write over it, or is K records ahead; after the writer died for good, it takes all
 * that are kept without a further try.
 *
 * K, RESTART, BROADCAST choose the variant; the rest are mutants, each of which must be refuted (see models.txt). */
#ifndef K
#define K 2 /* cells */
#endif
#ifndef RESTART
#define RESTART 1 /* successors: so many kills are survived, the next is for good */
#endif
#ifndef BROADCAST
#define BROADCAST 0
#endif
#ifndef WORD_RELEASE
#define WORD_RELEASE 1
#endif
#ifndef WORD_ACQUIRE
#define WORD_ACQUIRE 1
#endif
#ifndef VERSION_RELEASE
#define VERSION_RELEASE 1
#endif
#ifndef VERSION_ACQUIRE
#define VERSION_ACQUIRE 1
#endif
#ifndef BEGUN_STORE
#define BEGUN_STORE 1 /* 1: before the cell; 2: after it (mutant); 0: never (mutant) */
#endif
#ifndef BEGUN_LOAD
#define BEGUN_LOAD 2 /* 2: after the copy; 1: before it (mutant) */
#endif
#ifndef CHECK
#define CHECK 2 /* 2: whole while begun - version < K; 1: <= K (mutant); 0: not looked at (mutant) */
#endif
#if CHECK == 2
#define WHOLE (begun >= version && begun - version < K) /* as the unsigned comparison in C */
#elif CHECK == 1
#define WHOLE (begun >= version && begun - version <= K)
#else
#define WHOLE true
#endif
#ifndef PUBLISH
#define PUBLISH 2 /* 2: version after the cell; 1: before it (mutant) */
#endif

#ifndef BLIND_SUCCESSOR
#define BLIND_SUCCESSOR 0 /* 1: goes on behind the record that the dead one had begun (mutant) */
#endif
#ifndef COUNT_LOST
#define COUNT_LOST 1 /* 0: what was skipped is not counted (mutant) */
#endif

#define LAST (K + 2)         /* versions: every cell is overwritten, one of them twice for K = 2 */
#define DEPTH (LAST + 3)     /* values a word can have had, with those of killed writers */
#define VERSION 0
#define BEGUN 1
#define WORD(cell, i) (2 + 2 * (cell) + (i))
#define PLACES (2 + 2 * K)
#define AT(place, n) ((place) * DEPTH + (n))
#if BLIND_SUCCESSOR
#define GOES_ON_FROM BEGUN
#else
#define GOES_ON_FROM VERSION
#endif

byte value[PLACES * DEPTH]; /* all that was ever stored, oldest first; entry 0 is the zero of a new segment */
byte clock[PLACES * DEPTH]; /* the writer's count of stores when it was stored */
byte newest[PLACES];
byte stores = 0;

byte committed[LAST + 1]; /* what a reader may take version v for */
byte crashes = 0;
bool dead = false;

/* ---- writer ---- */

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

/* A successor has learnt of the death from the kernel, after the last store: it sees all of them. The value carries the
 * number of the writer, so that a mixture of two writers' halves of one version is seen. */
proctype writer()
{
    byte v;

successor:
    do
    :: value[AT(GOES_ON_FROM, newest[GOES_ON_FROM])] >= LAST -> break
    :: else ->
        v = value[AT(GOES_ON_FROM, newest[GOES_ON_FROM])] + 1;
        DIE;
#if PUBLISH == 1
        d_step { committed[v] = v + 16 * crashes; store(VERSION, v) }
        DIE;
#endif
#if BEGUN_STORE == 1
        store(BEGUN, v);
        DIE;
#endif
        store(WORD(v % K, 0), v + 16 * crashes);
        DIE;
        store(WORD(v % K, 1), v + 16 * crashes);
        DIE;
#if BEGUN_STORE == 2
        store(BEGUN, v);
        DIE;
#endif
#if PUBLISH == 2
        d_step { committed[v] = v + 16 * crashes; store(VERSION, v) }
        DIE
#endif
    od;
gone:
    dead = true
}

/* ---- reader ---- */

byte seen[PLACES]; /* the reader's floors */

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
        :: seen[place] < newest[place] -> seen[place]++ /* a newer one */
        :: break
        od;
        x = value[AT(place, seen[place])];
        if
        :: (acquire) && (released) -> d_step { raise(clock[AT(place, seen[place])]) }
        :: else
        fi
    }
}

proctype reader()
{
    byte version, begun, x, y, last, p, words;
    bool late;

end:
    do
    :: atomic {
           late = dead;
           if /* the top of a book is read alone */
           :: words = 1
           :: words = 2
           fi;
           if
           :: late -> d_step { raise(255) } /* what was stored long ago is visible */
           :: else
           fi
       }
       load(VERSION, VERSION_ACQUIRE, VERSION_RELEASE, version);
       if
       :: version == 0 -> skip /* never written: nothing was copied */
       :: else ->
#if BEGUN_LOAD == 1
           load(BEGUN, 0, 0, begun);
#endif
           load(WORD(version % K, 0), WORD_ACQUIRE, WORD_RELEASE, x);
           if
           :: words == 2 -> load(WORD(version % K, 1), WORD_ACQUIRE, WORD_RELEASE, y)
           :: else -> y = x
           fi;
#if BEGUN_LOAD == 2
           load(BEGUN, 0, 0, begun);
#endif
           d_step {
               if
               :: WHOLE ->
                   assert(x == committed[version]);
                   assert(y == committed[version]);
                   assert(version >= last);
                   assert(!late || version == value[AT(VERSION, newest[VERSION])]);
                   last = version
               :: else -> assert(!late)
               fi
           }
       fi;
       d_step { version = 0; begun = 0; x = 0; y = 0; words = 0; late = false }
    od
}

/* mft_broadcast_next, once and again. `version` is here the number of the newest record, `begun` as above. */
#define TRUE_VERSION value[AT(VERSION, newest[VERSION])]
#define TRUE_BEGUN value[AT(BEGUN, newest[BEGUN])]

proctype follower()
{
    byte version, begun, x, y, p, next = 1, got, lost, to;
    bool late, whole;

end:
    do
    :: atomic {
           late = dead;
           if
           :: late -> d_step { raise(255) }
           :: else
           fi
       }
       load(VERSION, VERSION_ACQUIRE, VERSION_RELEASE, version);
       assert(version + 1 >= next); /* else MFT_E_CORRUPT for nothing */
       if
       :: version + 1 == next -> /* empty */
           d_step {
               assert(!late || version == TRUE_VERSION);
               assert(got + lost == version)
           }
       :: version + 1 > next ->
           whole = false;
           if
           :: version + 1 - next < K ->
#if BEGUN_LOAD == 1
               load(BEGUN, 0, 0, begun);
#endif
               load(WORD(next % K, 0), WORD_ACQUIRE, WORD_RELEASE, x);
               load(WORD(next % K, 1), WORD_ACQUIRE, WORD_RELEASE, y);
#if BEGUN_LOAD == 2
               load(BEGUN, 0, 0, begun);
#endif
               d_step {
#define version next /* WHOLE is about the record that was copied */
                   whole = WHOLE;
#undef version
                   assert(whole || !late)
               }
           :: else
           fi;
           d_step {
               if
               :: whole ->
                   assert(x == committed[next]);
                   assert(y == committed[next]);
                   got++;
                   next++
               :: else ->
                   to = version + 1 - K / 2;
                   if
                   :: to > next ->
                       assert(TRUE_VERSION + 1 - next >= K || TRUE_BEGUN >= next + K);
                       lost = lost + COUNT_LOST * (to - next);
                       next = to
                   :: else
                   fi
               fi
           }
       fi;
       d_step { version = 0; begun = 0; x = 0; y = 0; to = 0; late = false; whole = false }
    od
}

init {
    atomic {
        run writer();
#if BROADCAST
        run follower()
#else
        run reader()
#endif
    }
}
