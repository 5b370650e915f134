package admin

import (
	"net/http"
	"time"
)

// replica is what a replica has said of itself.
type replica struct {
	Name string `json:"name"`
	// Revision is the one that it has read, Served the one that it serves.
	Revision int64     `json:"revision"`
	Served   int64     `json:"served"`
	Built    time.Time `json:"built,omitzero"`
	Seen     time.Time `json:"seen"`
	Problems []string  `json:"problems"`
}

// revisions tells which replica serves which revision of the registry.
func (a *admin) revisions(k *call) error {
	ctx := k.Request().Context()
	now, err := a.options.Registry.Control(ctx)
	if err != nil {
		return err
	}
	known, err := a.options.Store.Replicas(ctx)
	if err != nil {
		return err
	}
	list := []replica{}
	for _, r := range known {
		list = append(list, replica{r.Name, r.Revision, r.Served, r.Built, r.Seen, append([]string{}, r.Problems...)})
	}
	return k.JSON(http.StatusOK, struct {
		Revision int64     `json:"revision"`
		Replicas []replica `json:"replicas"`
	}{now.Revision, list})
}
