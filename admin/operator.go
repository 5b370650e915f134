package admin

import (
	"net/http"
	"time"

	"github.com/headrace/headrace/gateway/registry"
)

// newOperator is the body of what makes an operator, or a token for one.
type newOperator struct {
	Name    string        `json:"name"`
	Title   string        `json:"title"`
	Role    registry.Role `json:"role"`
	Expires *time.Time    `json:"expires"`
	Reason  string        `json:"reason"`
	Actor   string        `json:"actor"`
}

func (a *admin) operators(k *call) error {
	return list[registry.Operator](a, k, registry.KindOperator, "")
}

func (a *admin) operator(k *call) error {
	return show[registry.Operator](a, k, http.StatusOK, registry.KindOperator, k.Param("operator"))
}

func (a *admin) addOperator(k *call) error {
	var n newOperator
	if err := k.decode(&n); err != nil {
		return err
	}
	i, token, err := a.options.Registry.NewOperator(k.Request().Context(), k.by(), n.Name, registry.Operator{Title: n.Title, Role: n.Role, Expires: n.Expires})
	if err != nil {
		return err
	}
	return shown(k, i, token)
}

func (a *admin) renewOperator(k *call) error {
	var n newOperator
	if err := k.decode(&n); err != nil {
		return err
	}
	m, err := k.match()
	if err != nil {
		return err
	}
	i, token, err := a.options.Registry.RenewOperator(k.Request().Context(), k.by(), k.Param("operator"), n.Expires, m)
	if err != nil {
		return err
	}
	return shown(k, i, token)
}

func (a *admin) endOperator(k *call) error {
	m, err := k.match()
	if err != nil {
		return err
	}
	if _, err := a.options.Registry.EndOperator(k.Request().Context(), k.by(), k.Param("operator"), m); err != nil {
		return err
	}
	return k.NoContent(http.StatusNoContent)
}
