package admin

import (
	"net/http"

	"github.com/headrace/headrace/gateway/registry"
)

func (a *admin) files(k *call) error {
	s := k.span()
	list, more, err := registry.List[registry.File](k.Request().Context(), a.options.Registry, registry.KindFile, "", s.after, s.limit)
	if err != nil {
		return err
	}
	return paged(k, list, more, func(i registry.Item[registry.File]) string { return i.Name })
}

// file answers the content.
func (a *admin) file(k *call) error {
	i, err := registry.Get[registry.File](k.Request().Context(), a.options.Registry, registry.KindFile, k.Param("*"))
	if err != nil {
		return err
	}
	text, err := a.options.Registry.ReadFile(k.Request().Context(), i.Name)
	if err != nil {
		return err
	}
	k.tag(i.Revision)
	return k.Blob(http.StatusOK, "application/octet-stream", text)
}

func (a *admin) putFile(k *call) error {
	m, err := k.match()
	if err != nil {
		return err
	}
	name := k.Param("*")
	if _, err := a.options.Registry.PutFile(k.Request().Context(), k.by(), name, k.body, m); err != nil {
		return err
	}
	i, err := registry.Get[registry.File](k.Request().Context(), a.options.Registry, registry.KindFile, name)
	if err != nil {
		return err
	}
	return thing(k, http.StatusOK, i)
}

func (a *admin) deleteFile(k *call) error {
	m, err := k.match()
	if err != nil {
		return err
	}
	if _, err := a.options.Registry.DeleteFile(k.Request().Context(), k.by(), k.Param("*"), m); err != nil {
		return err
	}
	return k.NoContent(http.StatusNoContent)
}
