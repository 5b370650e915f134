// Package budget keeps calls within the limits of a system.
//
// A Budget holds all the limits of one system as pools. A call is admitted by
// all pools that apply to it or by none of them; while there is no room it
// waits in line, by class and then by arrival. There are two families of pools.
//
// # Hold pools
//
// A hold pool has a capacity in units. A call occupies its cost from the moment
// it is admitted until hold after it has ended. Concurrency has a hold of zero;
// a sliding window of 6000 calls in 300 seconds has the capacity 6000 and a hold
// of 300 seconds. A limit by the clock has a calendar window in place of the hold.
//
// The invariant: at the system, no window of the length hold ever contains
// calls that cost more than the capacity together, and with a hold of zero no
// more than the capacity is ever under way, whatever delays the network adds.
//
// Why it holds: a system counts a call at some unknown instant between its
// admission and its end. Take a window (t-hold, t] at the system, and the call
// j of it that was admitted last. Every other call i of the window arrived
// after t-hold and so ended after t-hold; it occupied its units until after t,
// and so at the time when j was admitted, which is no later than t. All calls
// of the window therefore occupied their units together when j was admitted,
// and j was admitted only because all of them fitted into the capacity.
//
// The price is that the rate of a window is capacity / (hold + latency).
//
// # Buckets
//
// A bucket has a size and refills at a constant rate; a size of one makes a
// minimum spacing. The same argument makes it exact: a call under way keeps its
// units reserved, and they start to refill when the call has ended, because the
// system may have counted it as late as that. Let S be the calls that arrived at
// the system between the arrivals a and b of two of them. When the last of S was
// admitted, at m ≤ b, each of the others was either under way, hence reserved, or
// had ended after a, hence refills since some time after a at most. All were
// granted, so they cost no more than size + rate·(m-a) ≤ size + rate·(b-a)
// together, which is what a bucket at the system lets pass.
//
// # Calendar windows
//
// A daily quota by the clock is a hold pool whose units stay until the calendar
// window is over in which the call ended, not for a stretch of time. The system
// counts a call in the window that its own clock shows when the call arrives, and
// its clock may be off by the slack, to either side. So units stay until the end
// of the window that the call's end plus the slack falls into, and for the slack
// after it.
//
// Why it holds: take a window of the system, which ends between slack before and
// slack after the moment B by our clock, and the call j of it that was admitted
// last. Every other call i of it arrived after the window's beginning, no earlier
// than slack before the moment A at which the window begins by our clock, and
// ended later still. Its end plus the slack is no earlier than A, so it holds its
// units until B plus the slack or longer, and j was admitted before that, because
// it arrived before the system's window was over. All calls of the window
// therefore occupied their units together when j was admitted. A call that is
// under way at a boundary counts for the window that it ends in, whichever the
// system took it for. Days are those of the configured place: one of 23 or 25
// hours is as long as it is.
//
// # Pace
//
// Nothing in a long window keeps unimportant calls from using it up in its first
// second. Windows of ten seconds and more therefore have a companion: a bucket
// that refills in the time of a window and holds a tenth of it, or ten calls, which
// the classes normal and low have to pass, too. It only ever refuses more, so it
// changes nothing about the argument. The classes high and critical
// do not pass it; the floors of normal and low do. The price is that what has been
// left unused early is there for normal and low only at the pace.
//
// # Costs that are known later
//
// A pool may count bytes, elements, time or whatever the system charges. Such a
// call occupies an estimate while it is under way, and what it turned out to cost
// after that. The argument needs the estimate to be the most that the call can
// cost; with a smaller one the pool may be exceeded by as much as the calls under
// way together cost more than they were taken for. A call without an answer that
// is charged by time is taken to have used its whole lease.
//
// # Overloads
//
// When a system refuses a call although the count has room, the count is wrong:
// others use the limit, or it is smaller than published. The pool that the system
// complains of then shrinks to a part of what it had, if it is adaptive, once for
// all the calls that were admitted before, never below a floor, and grows back
// evenly. Where the system does not say which of its limits it is, the likeliest of
// the call's pools shrinks: the one nearest to full. A pool at its floor is passed
// over, so that a wrong guess comes to the right pool in the end. A bucket becomes smaller and
// slower by the same part. The capacity is never more than configured, so the
// argument stands; and however small a pool has become, a call that fits into the
// whole of it is admitted when nothing else is there.
//
// # What the system says
//
// A system may tell with an answer what it has counted. It did so at some instant
// between the call's admission and its end, and other answers may have overtaken
// this one. What has ended since the admission, or is under way, may be in its
// count or not. So what it has counted beyond all of ours together is foreign
// for certain, and occupies units until its window is over or the next report.
// An exact report also takes away what we hold beyond the system's count and
// beyond all that has ended since the admission: no call that the system may not
// have counted yet is forgotten. What comes back first is taken away first, so
// that the rest stays as long as the system may count it. Reports of calls that
// were admitted before a calendar window, or within the slack of its beginning,
// may be about the last one and are left out.
//
// # What never comes back
//
// A call whose answer never came may still be on its way. It occupies its units
// until its timeout plus a grace, its lease, has run out, and the hold after
// that. The same happens by itself when nobody settles a call at all. So a call must
// have ended by then where a limit counts calls at once (Ticket.AtOnce, Ticket.Left).
//
// # Classes
//
// Reserves keep units of a pool for the classes from one upwards. Among calls
// that wait, a more urgent class goes first, and the earlier call within a class.
// A lower class that waits while more urgent calls are sent earns a floor of
// them: 10 % for high, 5 % for normal and 2 % for low. A floor disregards
// reserves, so that a lower class is slowed down and never shut out.
//
// A call that waits for a pool which others do not need does not stop them:
// only calls that stand in line for the same pool wait behind it.
package budget
