package admin

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/registry"
)

// made is a thing with its secret, which is shown this once.
type made[T any] struct {
	registry.Item[T]
	Secret string `json:"secret"`
}

func shown[T any](k *call, i registry.Item[T], secret string) error {
	k.tag(i.Revision)
	return k.JSON(http.StatusCreated, made[T]{i, secret})
}

// credential is one with the time at which it was last used, if it was.
type credential struct {
	registry.Item[registry.Credential]
	LastUsed time.Time `json:"lastUsed,omitzero"`
}

func (a *admin) used(k *call, list []registry.Item[registry.Credential]) ([]credential, error) {
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].Name
	}
	at, err := a.options.Store.LastUsed(k.Request().Context(), registry.KindCredential, names)
	if err != nil {
		return nil, err
	}
	all := make([]credential, len(list))
	for i := range list {
		all[i] = credential{list[i], at[list[i].Name]}
	}
	return all, nil
}

func (a *admin) credentials(k *call) error {
	ctx, app, s := k.Request().Context(), k.Param("app"), k.span()
	if _, err := registry.Get[registry.App](ctx, a.options.Registry, registry.KindApp, app); err != nil {
		return err
	}
	found, more, err := registry.List[registry.Credential](ctx, a.options.Registry, registry.KindCredential, app, s.after, s.limit)
	if err != nil {
		return err
	}
	all, err := a.used(k, found)
	if err != nil {
		return err
	}
	return paged(k, all, more, func(c credential) string { return c.Name })
}

func (a *admin) credential(k *call) error {
	i, err := registry.Get[registry.Credential](k.Request().Context(), a.options.Registry, registry.KindCredential, k.Param("credential"))
	if err != nil {
		return err
	}
	all, err := a.used(k, []registry.Item[registry.Credential]{i})
	if err != nil {
		return err
	}
	k.tag(i.Revision)
	return k.JSON(http.StatusOK, all[0])
}

// newCredential is the body of what makes a key or a client.
type newCredential struct {
	Label   string     `json:"label"`
	Scopes  []string   `json:"scopes"`
	Expires *time.Time `json:"expires"`
	Overlap string     `json:"overlap"`
	Reason  string     `json:"reason"`
	Actor   string     `json:"actor"`
}

func (a *admin) newKey(k *call) error {
	var n newCredential
	if err := k.decode(&n); err != nil {
		return err
	}
	i, text, err := a.options.Registry.NewKey(k.Request().Context(), k.by(), k.Param("app"), n.Label, n.Expires)
	if err != nil {
		return err
	}
	return shown(k, i, text)
}

func (a *admin) rotateKey(k *call) error {
	var n newCredential
	if err := k.decode(&n); err != nil {
		return err
	}
	var overlap time.Duration
	if n.Overlap != "" {
		var err error
		if overlap, err = time.ParseDuration(n.Overlap); err != nil {
			return &gateway.Error{Problem: gateway.InvalidBody, Detail: "overlap is a duration such as 24h"}
		}
	}
	m, err := k.match()
	if err != nil {
		return err
	}
	i, text, err := a.options.Registry.RotateKey(k.Request().Context(), k.by(), k.Param("prefix"), overlap, n.Expires, m)
	if err != nil {
		return err
	}
	return shown(k, i, text)
}

func (a *admin) newClient(k *call) error {
	var n newCredential
	if err := k.decode(&n); err != nil {
		return err
	}
	i, secret, err := a.options.Registry.NewClient(k.Request().Context(), k.by(), k.Param("app"), n.Label, n.Scopes, n.Expires)
	if err != nil {
		return err
	}
	return shown(k, i, secret)
}

// addCredential takes what an issuer or an authority has made.
func (a *admin) addCredential(k *call) error {
	var body map[string]json.RawMessage
	if err := k.decode(&body); err != nil {
		return err
	}
	app, err := json.Marshal(k.Param("app"))
	if err != nil {
		return err
	}
	delete(body, "reason") // read by call.by
	delete(body, "actor")
	body["app"] = app
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	name, _, err := a.options.Registry.AddCredential(k.Request().Context(), k.by(), text)
	if err != nil {
		return err
	}
	return show[registry.Credential](a, k, http.StatusCreated, registry.KindCredential, name)
}

func (a *admin) revokeCredential(k *call) error {
	m, err := k.match()
	if err != nil {
		return err
	}
	if _, err := a.options.Registry.Revoke(k.Request().Context(), k.by(), k.Param("credential"), m); err != nil {
		return err
	}
	return k.NoContent(http.StatusNoContent)
}
