/* Waiting: mftcore/include/mftcore/wait.h. Waiters arm, look for work once more and sleep; ringers publish and ring; a
 * ringer may be killed between any two of its steps.
 *
 * Memory. Each word keeps all values it had; a load may take any not older than the thread's floor, so a store may stay
 * invisible to others for as long as it likes (a store buffer) and a look may come too early. A compare-and-swap acts
 * on the newest value. A sequentially consistent fence makes the thread see what all that fenced before it had seen or
 * stored. The kernel compares the futex word's newest value and puts the waiter to sleep in one step.
 *
 * Promise. A sleep ends by its timeout only when a ringer was killed before it had woken anybody (and then once), or
 * when it was the first sleep at this bell, which is short for that reason. Else a wake-up was lost.
 *
 * The rest of the macros are mutants, each of which must be refuted (see models.txt). */
#ifndef WAITERS
#define WAITERS 1
#endif
#ifndef RINGERS
#define RINGERS 1
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef WANT
#define WANT 1 /* 1: nobody ever slept here, and ringers may not know yet; 0: everybody knows */
#endif
#ifndef DISARM
#define DISARM (WAITERS == 1)
#endif
#ifndef EVENTFD
#define EVENTFD 0 /* 1: a doorbell: the sleep is on its eventfd; 2: written after the word was moved (mutant) */
#endif
#ifndef ARM_FENCE
#define ARM_FENCE 1
#endif
#ifndef RING_FENCE
#define RING_FENCE 1
#endif
#ifndef LOOK_AGAIN
#define LOOK_AGAIN 1 /* 0: looks for work before arming only (mutant) */
#endif
#ifndef PUBLISH_LAST
#define PUBLISH_LAST 0
#endif
#ifndef WAKE_ALL
#define WAKE_ALL 1
#endif
#ifndef SHORT_FIRST_SLEEP
#define SHORT_FIRST_SLEEP 1
#endif
#ifndef TIMEOUTS
#define TIMEOUTS 1
#endif
#ifndef PATIENT_AFTER_DEATH
#define PATIENT_AFTER_DEATH 1 /* 0: a timeout is taken for a loss even when a ringer was killed (mutant) */
#endif

#ifndef TURNS
#define TURNS 2 /* publications of each ringer */
#endif
#define ALL (TURNS * RINGERS)
#define THREADS (WAITERS + RINGERS)
#define WORK 0
#define WORD 1
#define WANTED 2
#define DEPTH 32

byte value[3 * DEPTH];
byte newest[3];
byte seen[3 * THREADS];  /* floors */
byte fenced[3];          /* what fences have made known */
bool asleep[WAITERS];
byte excused[WAITERS];   /* so many kills may each have cost this waiter a wake-up */
bool first[WAITERS];
byte kills = 0;
byte rings = 0;          /* the eventfd */

#define NEWEST(place) value[(place) * DEPTH + newest[place]]
#define FLOOR(place) seen[3 * me + (place)]

inline load(place, x)
{
    atomic {
        do
        :: FLOOR(place) < newest[place] -> FLOOR(place)++
        :: break
        od;
        x = value[(place) * DEPTH + FLOOR(place)]
    }
}

inline append(place, x) /* within a step */
{
    assert(newest[place] + 1 < DEPTH);
    value[(place) * DEPTH + newest[place] + 1] = x;
    newest[place]++;
    FLOOR(place) = newest[place]
}

inline fence()
{
    d_step {
        p = 0;
        do
        :: p < 3 ->
            if
            :: FLOOR(p) > fenced[p] -> fenced[p] = FLOOR(p)
            :: else -> FLOOR(p) = fenced[p]
            fi;
            p++
        :: else -> break
        od;
        p = 0
    }
}

inline swap(place, from, to, done)
{
    d_step {
        if
        :: NEWEST(place) == from -> append(place, to); done = true
        :: else -> /* it fails by having read another value */
            done = false;
            do
            :: value[(place) * DEPTH + FLOOR(place)] == from && FLOOR(place) < newest[place] -> FLOOR(place)++
            :: else -> break
            od
        fi
    }
}

inline excuse_all()
{
    d_step {
        p = 0;
        do
        :: p < WAITERS -> excused[p]++; p++
        :: else -> break
        od;
        p = 0
    }
}

proctype waiter(byte me)
{
    byte work, found, word, p;
    bool done;

#if WANT
    load(WANTED, word);
    if
    :: word == 0 -> d_step { append(WANTED, 1); first[me] = SHORT_FIRST_SLEEP }
    :: else
    fi;
#endif
    do
    :: work == ALL -> break
    :: else ->
#if !LOOK_AGAIN
        load(WORK, found);
#endif
        load(WORD, word);
        do /* arm */
        :: word & 1 -> break
        :: else ->
            swap(WORD, word, word + 1, done);
            if
            :: done -> word++; break
            :: else -> word = value[WORD * DEPTH + FLOOR(WORD)] /* the exchange tells it */
            fi
        od;
#if ARM_FENCE
        fence();
#endif
#if LOOK_AGAIN
        load(WORK, found);
#endif
        if
        :: found == work ->
            d_step {
#if EVENTFD
                asleep[me] = (rings == 0)
#else
                asleep[me] = (NEWEST(WORD) == word)
#endif
            }
            if
            :: !asleep[me]
#if TIMEOUTS
            :: timeout ->
                d_step { /* it took so long that what was stored before is visible to all */
                    assert(first[me] || (excused[me] > 0 && PATIENT_AFTER_DEATH));
                    if
                    :: !first[me] -> excused[me]--
                    :: else
                    fi;
                    asleep[me] = false;
                    p = 0;
                    do
                    :: p < 3 * THREADS -> seen[p] = newest[p % 3]; p++
                    :: else -> break
                    od;
                    p = 0
                }
#endif
            fi;
            first[me] = false
        :: else
        fi;
#if EVENTFD
        rings = 0; /* take */
#endif
#if DISARM
        swap(WORD, word, word + 1, done);
#endif
        d_step { work = found; word = 0; done = false }
    od
}

#define DIE(woken)                                           \
    if                                                       \
    :: kills < KILLS ->                                      \
        d_step { kills++;                                    \
            if :: !(woken) -> excuse_all() :: else fi };     \
        goto successor                                       \
    :: skip                                                  \
    fi

inline publish()
{
    d_step { turn++; append(WORK, NEWEST(WORK) + 1) }
}

proctype ringer(byte me)
{
    byte turn, word, p;
    bool done;

    do
    :: turn == TURNS -> break
    :: else ->
#if !PUBLISH_LAST
        publish();
        DIE(false);
#endif
        load(WANTED, word);
        if
        :: word ->
#if RING_FENCE
            fence();
#endif
            load(WORD, word);
            if
            :: word & 1 ->
                DIE(false);
#if EVENTFD == 1
                d_step {
                    rings = 1;
                    p = 0;
                    do
                    :: p < WAITERS -> asleep[p] = false; p++
                    :: else -> break
                    od;
                    p = 0
                }
                DIE(true);
#endif
                swap(WORD, word, word + 1, done);
                if
                :: done ->
                    DIE(EVENTFD);
#if EVENTFD != 1
                    d_step {
#if EVENTFD
                        rings = 1;
#endif
                        p = 0;
                        do
                        :: p < WAITERS && asleep[p] ->
                            asleep[p] = false;
#if !WAKE_ALL
                            break;
#endif
                            p++
                        :: p < WAITERS && !asleep[p] -> p++
                        :: else -> break
                        od;
                        p = 0
                    }
#endif
                :: else
                fi
            :: else
            fi
        :: else
        fi;
#if PUBLISH_LAST
        publish();
        DIE(false);
#endif
successor:
        skip;
        d_step { word = 0; done = false }
    od
}

init {
    byte i;

    atomic {
#if !WANT
        value[WANTED * DEPTH] = 1;
#endif
        i = 0;
        do
        :: i < WAITERS -> run waiter(i); i++
        :: i >= WAITERS && i < THREADS -> run ringer(i); i++
        :: else -> break
        od
    }
}
