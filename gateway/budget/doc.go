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
// of 300 seconds.
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
// # What never comes back
//
// A call whose answer never came may still be on its way. It occupies its units
// until its timeout plus a grace, its lease, has run out, and the hold after
// that. The same happens by itself when nobody settles a call at all.
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
