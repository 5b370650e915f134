package admin

import (
	"net/http"
	"time"

	"github.com/headrace/headrace/specs/source"
)

// problemList is what was wrong with the configuration that was refused last.
// It is empty when the last attempt was accepted.
type problemList struct {
	At       time.Time        `json:"at,omitzero"`
	Revision string           `json:"revision,omitempty"`
	Items    []source.Problem `json:"items"`
}

func (a *admin) problems(c *call) error {
	r := a.options.Reload()
	if len(r.Problems) == 0 {
		return c.JSON(http.StatusOK, problemList{Items: []source.Problem{}})
	}
	return c.JSON(http.StatusOK, problemList{At: r.At, Revision: r.Revision, Items: r.Problems})
}
