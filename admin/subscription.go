package admin

import (
	"net/http"

	"github.com/headrace/headrace/gateway/registry"
)

// wish is a subscription that is asked for, or another plan for one.
type wish struct {
	App     string `json:"app"`
	Product string `json:"product"`
	Plan    string `json:"plan"`
	Reason  string `json:"reason"`
	Actor   string `json:"actor"`
}

func (a *admin) subscriptions(k *call) error {
	return list[registry.Subscription](a, k, registry.KindSubscription, k.QueryParam("app"))
}

func (a *admin) subscription(k *call) error {
	return show[registry.Subscription](a, k, http.StatusOK, registry.KindSubscription, k.Param("subscription"))
}

func (a *admin) subscribe(k *call) error {
	var w wish
	if err := k.decode(&w); err != nil {
		return err
	}
	s, err := a.options.Registry.Subscribe(k.Request().Context(), k.by(), w.App, w.Product, w.Plan)
	if err != nil {
		return err
	}
	return thing(k, http.StatusCreated, s)
}

// decide makes the handler that moves a subscription to a status.
func (a *admin) decide(status string) func(*call) error {
	return func(k *call) error {
		m, err := k.match()
		if err != nil {
			return err
		}
		s, err := a.options.Registry.Decide(k.Request().Context(), k.by(), k.Param("subscription"), status, m)
		if err != nil {
			return err
		}
		return thing(k, http.StatusOK, s)
	}
}

func (a *admin) changePlan(k *call) error {
	var w wish
	if err := k.decode(&w); err != nil {
		return err
	}
	m, err := k.match()
	if err != nil {
		return err
	}
	s, err := a.options.Registry.ChangePlan(k.Request().Context(), k.by(), k.Param("subscription"), w.Plan, m)
	if err != nil {
		return err
	}
	return thing(k, http.StatusOK, s)
}
