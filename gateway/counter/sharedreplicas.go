package counter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway/budget"
)

// Replica is one of those that share the counts of a system, as Redis knows it.
type Replica struct {
	// Name is the one that Options gave it; a hash mark and a number follow when a
	// later process has taken its name.
	Name  string
	State ReplicaState
	// Share is the part of every pool that it goes by when it is alone.
	Share float64
	// Beat is how long ago it was last heard of.
	Beat time.Duration
	// Kept is how much longer its share is left free for it, but for the hold
	// of a pool; zero while it is there.
	Kept time.Duration
	// Suspension is that of the system, the same for all; Mine tells that this replica tries.
	Suspension budget.Suspension
}

// ReplicaState says what is known of a replica.
type ReplicaState string

// The states of replicas.
const (
	// Present replicas are heard of.
	Present ReplicaState = "present"
	// Missing ones are not, and may be going on alone.
	Missing ReplicaState = "missing"
	// Awaited ones were there before the counts were lost, and have not come back.
	Awaited ReplicaState = "awaited"
	// Gone ones come back no more: what they may have sent is waited for.
	Gone ReplicaState = "gone"
)

var (
	// ErrNoReplica is Forget's error for a replica that Redis does not know.
	ErrNoReplica = errors.New("no replica of this name is known")
	// ErrPresent is Forget's error for a replica that is there.
	ErrPresent = errors.New("the replica is there")
)

// Replicas lists those who share the counts of a system, by name. Nobody is known
// of a system that Redis does not know.
func Replicas(ctx context.Context, c Client, system string) ([]Replica, error) {
	text, err := lua().replicas.Run(ctx, c, systemKeys(system)).Text()
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	if text == "" {
		return nil, nil
	}
	var told struct {
		Suspended float64
		Trial     bool
		Replicas  []struct {
			Name                              string
			Share, Beat, Kept                 float64
			Gone, Missing, Unaccounted, Tries bool
		}
	}
	if err := json.Unmarshal([]byte(text), &told); err != nil {
		return nil, errors.Join(errAnswer, err)
	}
	var all []Replica
	for _, r := range told.Replicas {
		state := Present
		switch {
		case r.Unaccounted:
			state = Awaited
		case r.Gone:
			state = Gone
		case r.Missing:
			state = Missing
		}
		all = append(all, Replica{
			Name: r.Name, State: state, Share: r.Share,
			Beat: time.Duration(r.Beat) * time.Microsecond, Kept: time.Duration(r.Kept) * time.Microsecond,
			Suspension: budget.Suspension{For: time.Duration(told.Suspended) * time.Microsecond, Trial: told.Trial, Mine: r.Tries},
		})
	}
	slices.SortFunc(all, func(a, b Replica) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// Forget gives up a replica that is gone for good, and of which an operator
// knows that it sends nothing any more: its share of a system is free as soon as
// what it may have sent is over. One that is there is not forgotten.
func Forget(ctx context.Context, c Client, system, replica string) error {
	answer, err := lua().leave.Run(ctx, c, systemKeys(system), replica, "0").Int()
	switch {
	case err != nil:
		return fmt.Errorf("redis: %w", err)
	case answer == 0:
		return ErrNoReplica
	case answer == 2:
		return ErrPresent
	}
	return nil
}

// systemKeys is the key of all that is known of a system. What is in braces
// decides on the slot of a Cluster.
func systemKeys(system string) []string {
	return []string{"hr:{" + strings.NewReplacer("{", "(", "}", ")").Replace(system) + "}"}
}
