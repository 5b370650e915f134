package ledgertest

import (
	"testing"
)

// Conform proves the contract, law by law, each on an empty ledger.
func Conform(t *testing.T, e Engine) {
	for _, law := range laws {
		t.Run(law.name, func(t *testing.T) {
			t.Parallel()
			law.holds(newWorld(t, e))
		})
	}
}

var laws = []struct {
	name  string
	holds func(*world)
}{
	{"a write is kept as it was appended", kept},
	{"what makes no sense is refused", refused},
	{"an id that is none finds nothing", unknown},
	{"a lane goes one by one, in order", laneOrder},
	{"a write may stand in several lanes", severalLanes},
	{"lanes are those of a system", lanesOfSystems},
	{"claims go strictly by class", strict},
	{"claims keep to their room", room},
	{"a head inherits the class of what it blocks", inherits},
	{"inheritance passes from lane to lane", inheritsOn},
	{"a write is handed over in its own commit", handOver},
	{"an idempotency key stands for one write", keyed},
	{"an idempotency key survives a restart and ends", keyEnds},
	{"an idempotency key taken by many at once is taken once", keyRace},
	{"bounds refuse, but not what is known", bounds},
	{"bounds hold under concurrent appends", boundsRace},
	{"a held write waits for its time and keeps its lane", heldAgain},
	{"not before is not before", notBefore},
	{"a doubtful write keeps its lane until its fate is known", doubt},
	{"an open write is not taken back", open},
	{"a settlement is fenced", fenced},
	{"a settlement may be repeated", repeated},
	{"a lost claim becomes doubtful, and a late answer is heard", lost},
	{"a claim of the process before becomes doubtful at once", restarted},
	{"notes of what was spent outlast the process", noted},
	{"a lost request counts as running for its own timeout", lostFor},
	{"a renewed claim is not lost", renewed},
	{"a dead write stops its lane until it is discarded", deadStops},
	{"a dead write with continue lets its lane go on", deadGoesOn},
	{"a dead write is retried in its place", retried},
	{"a dead doubt is left to people", deadDoubt},
	{"dead writes are grouped, and a group is retried and discarded", groups},
	{"a paused lane stands still", pausedLane},
	{"a lane is paused while its head is sending", pausedSending},
	{"a paused system stands still", pausedSystem},
	{"what is held is cancelled", cancelled},
	{"a write expires before it is sent, and not after", expires},
	{"the newest state stands for the older ones", coalesced},
	{"a number comes once", duplicate},
	{"a gap waits for the missing numbers", gapCloses},
	{"a gap waits no longer than it may", gapEnds},
	{"a late number is not sent", late},
	{"writes of one call are found from each other", together},
	{"an edited write takes the place of the old one", replaced},
	{"an edited write with other lanes stands last", replacedElsewhere},
	{"lists are filtered", filtered},
	{"lists are paged", paged},
	{"a write's place is explained", explained},
	{"a buffer is counted", counted},
	{"who watches is told", watched},
	{"what is over is archived and deleted, and no more", retained},
	{"the next moment is known", next},
	{"a timeline tells all", timeline},
	{"after the end nothing is accepted", closed},
	{"a copy taken under load is whole", backup},
	{"the control plane is kept by revisions", controlKept},
	{"a snapshot of the control plane goes on from the last", controlAdvances},
	{"a change of the control plane is refused as a whole", controlRefuses},
	{"a change of the control plane is audited", controlAudited},
	{"the audit chain holds", auditChain},
	{"changes of the control plane come one after the other", controlSerialised},
	{"contents are kept once", blobs},
	{"usage is added up by day", usageAdds},
	{"replicas add usage at the same time", usageRace},
	{"who watches the control plane is told", controlWatched},
	{"replicas say what they serve", replicas},
	{"the last use is kept", lastUsed},
	{"a run is kept with its steps and its end", runKept},
	{"a key stands for one run", runKeyed},
	{"a key taken by many runs at once is taken once", runKeyRace},
	{"a visit of a run has one write", runWrites},
	{"a run is woken by the settlement of its write", runWoken},
	{"a lost run is taken over", runLost},
	{"a run that is stuck at a write goes on with it", runStuck},
	{"an edited write stays the step of its run", runEdited},
	{"a person decides about a run", runActedOn},
	{"runs are listed and traced", runListed},
	{"runs that are over are forgotten", runRetained},
	{"runs write at the same time", runsTogether},
	{"nothing is lost, doubled or out of order under concurrency", concurrent},
}
