package buffer

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"github.com/headrace/headrace/gateway/system"
)

// kept is what the ledger holds of a request: this as JSON, a line end, and
// the body as it came.
type kept struct {
	system.Request
	// Subscribed tells that it was accepted under a subscription.
	Subscribed bool `json:"subscribed,omitempty"`
	// Through is the API that the caller has called, NAME/vMAJOR, whose flow
	// writes in its name; empty for the write's own.
	Through string `json:"through,omitempty"`
	// Estimate is when its end was expected when it was accepted; zero when
	// nobody knew.
	Estimate time.Time `json:"estimate,omitzero"`
}

func (k *kept) encode() ([]byte, error) {
	body := k.Body
	k.Body = nil
	data, err := json.Marshal(k)
	k.Body = body
	if err != nil {
		return nil, err
	}
	data = append(data, '\n')
	return append(data, body...), nil
}

func decodeRequest(data []byte) (*kept, error) {
	head, body, ok := bytes.Cut(data, []byte{'\n'})
	if !ok {
		return nil, errors.New("the request that was kept cannot be read")
	}
	k := &kept{}
	if err := json.Unmarshal(head, k); err != nil {
		return nil, err
	}
	if len(body) > 0 {
		k.Body = body
	}
	return k, nil
}
