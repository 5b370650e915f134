package admin

import (
	"net/http"

	"github.com/headrace/headrace/gateway/registry"
)

// nounRoutes are those of a kind whose things are put as a whole. T is its body.
func nounRoutes[T any](a *admin, kind, many string) []route {
	writers := changing(kind)
	one := "/" + many + "/{" + kind + "}"
	return []route{
		{"GET", "/" + many, looking(), 0, func(k *call) error { return list[T](a, k, kind, k.QueryParam("organisation")) }},
		{"GET", one, looking(), 0, func(k *call) error { return show[T](a, k, http.StatusOK, kind, k.Param(kind)) }},
		{"PUT", one, writers, bodyOfThings, func(k *call) error { return put[T](a, k, kind, k.Param(kind)) }},
		{"DELETE", one, writers, 0, func(k *call) error { return a.delete(k, kind, k.Param(kind)) }},
	}
}

// bodyOfThings is how long the body of a thing may be.
const bodyOfThings = 256 << 10

func list[T any](a *admin, k *call, kind, parent string) error {
	s := k.span()
	found, more, err := registry.List[T](k.Request().Context(), a.options.Registry, kind, parent, s.after, s.limit)
	if err != nil {
		return err
	}
	return paged(k, found, more, func(i registry.Item[T]) string { return i.Name })
}

func show[T any](a *admin, k *call, status int, kind, name string) error {
	i, err := registry.Get[T](k.Request().Context(), a.options.Registry, kind, name)
	if err != nil {
		return err
	}
	return thing(k, status, i)
}

func put[T any](a *admin, k *call, kind, name string) error {
	m, err := k.match()
	if err != nil {
		return err
	}
	if _, err := a.options.Registry.Put(k.Request().Context(), k.by(), kind, name, k.body, m); err != nil {
		return err
	}
	return show[T](a, k, http.StatusOK, kind, name)
}

func (a *admin) delete(k *call, kind, name string) error {
	m, err := k.match()
	if err != nil {
		return err
	}
	if _, err := a.options.Registry.Delete(k.Request().Context(), k.by(), kind, name, m); err != nil {
		return err
	}
	return k.NoContent(http.StatusNoContent)
}
