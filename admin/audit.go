package admin

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/registry"
)

// action is a row of the audit.
type action struct {
	Number    int64           `json:"number"`
	At        time.Time       `json:"at"`
	Actor     string          `json:"actor"`
	Role      string          `json:"role,omitempty"`
	Reason    string          `json:"reason,omitempty"`
	RequestID string          `json:"requestId,omitempty"`
	Action    string          `json:"action"`
	Target    string          `json:"target"`
	Revision  int64           `json:"revision,omitempty"`
	Before    json.RawMessage `json:"before,omitempty"`
	After     json.RawMessage `json:"after,omitempty"`
	Hash      string          `json:"hash"`
}

func actionOf(r *ledger.Audit) action {
	return action{r.Number, r.At, r.By.Actor, r.By.Role, r.By.Reason, r.By.RequestID, r.Action, r.Target, r.Revision, r.Before, r.After, hex.EncodeToString(r.Hash)}
}

// audit lists what was done, the newest first.
func (a *admin) audit(k *call) error {
	s := k.span()
	f := ledger.AuditFilter{Actor: k.QueryParam("actor"), Action: k.QueryParam("action"), Target: k.QueryParam("target"), Kind: k.QueryParam("kind"), Limit: s.limit}
	if s.after != "" {
		f.Before, _ = strconv.ParseInt(s.after, 10, 64) // openapi.yaml knows its form
	}
	f.Since, _ = time.Parse(time.RFC3339, k.QueryParam("since")) // the same
	f.Until, _ = time.Parse(time.RFC3339, k.QueryParam("until"))
	rows, err := a.options.Store.Audits(k.Request().Context(), f)
	if err != nil {
		return err
	}
	var list []action
	for _, r := range rows {
		row := actionOf(r)
		if strings.HasPrefix(row.Target, registry.KindOperator+"/") && !may(k.who.roles, governing()) {
			row.Before, row.After = nil, nil // operators are for admins to look at
		}
		list = append(list, row)
	}
	more := len(list) == s.limit && list[len(list)-1].Number > 1
	return paged(k, list, more, func(r action) string { return strconv.FormatInt(r.Number, 10) })
}

// verdict is what going through the audit has found.
type verdict struct {
	Whole bool   `json:"whole"`
	First int64  `json:"first"`
	Last  int64  `json:"last"`
	Hash  string `json:"hash,omitempty"`
	// Broken is the first row that is wrong, Wrong what is.
	Broken int64  `json:"broken,omitempty"`
	Wrong  string `json:"wrong,omitempty"`
}

// verifyAudit goes through the whole chain, against the head of an earlier time
// if there is one.
func (a *admin) verifyAudit(k *call) error {
	var noted struct {
		Last int64  `json:"last"`
		Hash string `json:"hash"`
	}
	if err := k.decode(&noted); err != nil {
		return err
	}
	since := ledger.AuditHead{Last: noted.Last}
	var err error
	if since.Hash, err = hex.DecodeString(noted.Hash); err != nil || (noted.Last == 0) != (noted.Hash == "") {
		return &gateway.Error{Problem: gateway.InvalidBody, Detail: "an earlier head is both last and hash"}
	}
	head, err := a.options.Store.VerifyAudit(k.Request().Context(), since)
	v := verdict{Whole: err == nil, First: head.First, Last: head.Last, Hash: hex.EncodeToString(head.Hash)}
	if broken, ok := errors.AsType[*ledger.AuditError](err); ok {
		v.Broken, v.Wrong = broken.Number, broken.Wrong
	} else if err != nil {
		return err
	}
	return k.JSON(http.StatusOK, v)
}
