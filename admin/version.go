package admin

import (
	"archive/tar"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/headrace/headrace/gateway"
	"github.com/headrace/headrace/gateway/ledger"
	"github.com/headrace/headrace/gateway/registry"
	"github.com/headrace/headrace/specs"
)

// versionRoutes are those of versions of APIs.
func (a *admin) versionRoutes() []route {
	const version = "/apis/{api}/versions/{version}"
	return []route{
		{"GET", "/apis/{api}", looking(), 0, a.api},
		{"GET", version, looking(), 0, a.version},
		{"POST", version, designing(), filesBody, a.putVersion},
		{"DELETE", version, designing(), 0, a.deleteVersion},
		{"POST", version + "/publish", designing(), 0, a.publishDraft},
		{"POST", version + "/deprecate", designing(), 0, a.deprecateVersion},
		{"POST", version + "/restore", designing(), 0, a.restoreVersion},
		{"POST", version + "/retire", designing(), 0, a.retireVersion},
		{"GET", version + "/files", looking(), 0, a.versionFiles},
		{"GET", version + "/export", looking(), 0, a.exportVersion},
		{"GET", version + "/changes", looking(), 0, a.versionChanges},
	}
}

// filesBody is how long a request with files may be: what the registry takes, in base64.
const filesBody = 96 << 20

// version is a version as it is kept, and where it stands.
type version struct {
	registry.Item[registry.Version]
	// Origin is registry, or files: then it is read-only here.
	Origin string `json:"origin"`
	// Served tells that calls of it are answered, with the same content.
	Served bool `json:"served"`
}

const (
	fromFiles    = "files"
	fromRegistry = "registry"
)

// servedAPI finds a version in the table that is served.
func (a *admin) servedAPI(api, name string) *gateway.API {
	t := a.options.Tables.Table()
	if t == nil {
		return nil
	}
	for _, s := range t.APIs {
		if s.Name == api && s.Version == name {
			return s
		}
	}
	return nil
}

// kept is a version of the registry.
func (a *admin) kept(i registry.Item[registry.Version]) version {
	s := a.servedAPI(i.Body.API, i.Body.Version)
	return version{i, fromRegistry, s != nil && i.Body.Status != registry.Draft && i.Body.Status != registry.Retired}
}

// filed is a version that stands in the files of this replica.
func (a *admin) filed(s *gateway.API) version {
	v := version{Origin: fromFiles, Served: s.Document.Governance.Status != registry.Retired}
	v.Name, v.Parent = s.Name+"/"+s.Version, s.Name
	v.Body = registry.Version{API: s.Name, Version: s.Version, Status: s.Document.Governance.Status}
	if t := a.options.Tables.Table(); t != nil {
		v.Created, v.Changed = t.Built, t.Built
	}
	return v
}

// versionsOf lists the versions of an API, sorted by number.
func (a *admin) versionsOf(k *call, api string) ([]version, error) {
	var list []version
	known := map[string]bool{}
	found, _, err := registry.List[registry.Version](k.Request().Context(), a.options.Registry, registry.KindVersion, api, "", mostVersions)
	if err != nil {
		return nil, err
	}
	for _, i := range found {
		known[i.Body.Version] = true
		list = append(list, a.kept(i))
	}
	if t := a.options.Tables.Table(); t != nil {
		for _, s := range t.APIs {
			if s.Name == api && !known[s.Version] {
				list = append(list, a.filed(s))
			}
		}
	}
	slices.SortFunc(list, func(x, y version) int { return registry.CompareVersions(x.Body.Version, y.Body.Version) })
	return list, nil
}

// mostVersions bounds the versions of one API in an answer.
const mostVersions = 10_000

func (a *admin) api(k *call) error {
	name := k.Param("api")
	list, err := a.versionsOf(k, name)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return &gateway.Error{Problem: gateway.NoSuchThing, Detail: "there is no API " + strconv.Quote(name)}
	}
	return k.JSON(http.StatusOK, struct {
		Name  string    `json:"name"`
		Items []version `json:"items"`
	}{name, list})
}

func (a *admin) version(k *call) error {
	api, name := k.Param("api"), k.Param("version")
	i, err := registry.Get[registry.Version](k.Request().Context(), a.options.Registry, registry.KindVersion, api+"/"+name)
	if err == nil {
		k.tag(i.Revision)
		return k.JSON(http.StatusOK, a.kept(i))
	}
	if s := a.servedAPI(api, name); s != nil {
		return k.JSON(http.StatusOK, a.filed(s))
	}
	return err
}

// exception is a breaking change that is let through.
type exception struct{ Change, Reason string }

func reasons(list []exception) map[string]string {
	byID := map[string]string{}
	for _, e := range list {
		byID[e.Change] = e.Reason
	}
	return byID
}

func (a *admin) putVersion(k *call) error {
	var body struct {
		Files, Common map[string][]byte
		Status        string
		Canary        *registry.Canary
		Exceptions    []exception
		Reason, Actor string
	}
	if err := k.decode(&body); err != nil {
		return err
	}
	r := registry.Release{API: k.Param("api"), Version: k.Param("version"), Files: body.Files, Common: body.Common, Canary: body.Canary, Exceptions: reasons(body.Exceptions)}
	if body.Status == registry.Draft && (body.Canary != nil || len(body.Exceptions) > 0) {
		return &gateway.Error{Problem: gateway.InvalidBody, Detail: "a draft has neither a canary nor exceptions; say them when it is published"}
	}
	if body.Status == registry.Draft && k.QueryParam("dry-run") != "true" {
		var err error
		if r.Match, err = k.match(); err != nil {
			return err
		}
		i, err := a.options.Registry.SaveDraft(k.Request().Context(), k.by(), r)
		if err != nil {
			return err
		}
		return a.publication(k, registry.Publication{Item: i})
	}
	return a.publish(k, r)
}

func (a *admin) publishDraft(k *call) error {
	var body struct {
		Canary        *registry.Canary
		Exceptions    []exception
		Reason, Actor string
	}
	if err := k.decode(&body); err != nil {
		return err
	}
	return a.publish(k, registry.Release{API: k.Param("api"), Version: k.Param("version"), Canary: body.Canary, Exceptions: reasons(body.Exceptions)})
}

// publish publishes, or says what would happen.
func (a *admin) publish(k *call, r registry.Release) error {
	var err error
	if r.Match, err = k.match(); err != nil {
		return err
	}
	publish := a.options.Registry.Publish
	if k.QueryParam("dry-run") == "true" {
		publish = a.options.Registry.TryPublish
	}
	if s := a.servedAPI(r.API, r.Version); s != nil && a.standsInFiles(k, r.API, r.Version) {
		return &gateway.Error{Problem: gateway.StandsInFiles, Detail: r.API + "/" + r.Version + " stands in the files of the workspace"}
	}
	p, err := publish(k.Request().Context(), k.by(), r)
	if err != nil {
		return err
	}
	return a.publication(k, p)
}

// standsInFiles tells that what is served is not the registry's.
func (a *admin) standsInFiles(k *call, api, name string) bool {
	_, err := registry.Get[registry.Version](k.Request().Context(), a.options.Registry, registry.KindVersion, api+"/"+name)
	return err != nil && a.servedAPI(api, name) != nil
}

func (a *admin) publication(k *call, p registry.Publication) error {
	k.tag(p.Revision)
	return k.JSON(http.StatusOK, p)
}

func (a *admin) deleteVersion(k *call) error {
	m, err := k.match()
	if err != nil {
		return err
	}
	if _, err := a.options.Registry.DeleteDraft(k.Request().Context(), k.by(), k.Param("api"), k.Param("version"), m); err != nil {
		return err
	}
	return k.NoContent(http.StatusNoContent)
}

func (a *admin) deprecateVersion(k *call) error {
	var body struct {
		Since, Sunset   *time.Time
		Successor, Link string
		Reason, Actor   string
	}
	if err := k.decode(&body); err != nil {
		return err
	}
	end := registry.Deprecation{Sunset: body.Sunset, Successor: body.Successor, Link: body.Link}
	if body.Since != nil {
		end.Since = *body.Since
	}
	return a.moved(k, func(m ledger.Match) (registry.Item[registry.Version], error) {
		return a.options.Registry.Deprecate(k.Request().Context(), k.by(), k.Param("api"), k.Param("version"), end, m)
	})
}

func (a *admin) restoreVersion(k *call) error {
	return a.moved(k, func(m ledger.Match) (registry.Item[registry.Version], error) {
		return a.options.Registry.Restore(k.Request().Context(), k.by(), k.Param("api"), k.Param("version"), m)
	})
}

func (a *admin) retireVersion(k *call) error {
	var body struct {
		Override      bool
		Reason, Actor string
	}
	if err := k.decode(&body); err != nil {
		return err
	}
	return a.moved(k, func(m ledger.Match) (registry.Item[registry.Version], error) {
		return a.options.Registry.Retire(k.Request().Context(), k.by(), k.Param("api"), k.Param("version"), body.Override, m)
	})
}

// moved moves a version on, and answers it.
func (a *admin) moved(k *call, move func(ledger.Match) (registry.Item[registry.Version], error)) error {
	m, err := k.match()
	if err != nil {
		return err
	}
	i, err := move(m)
	if err == nil {
		return thing(k, http.StatusOK, i)
	}
	if api, name := k.Param("api"), k.Param("version"); a.standsInFiles(k, api, name) {
		return &gateway.Error{Problem: gateway.StandsInFiles, Detail: api + "/" + name + " stands in the files of the workspace; change " + specs.LifecycleFile + " there"}
	}
	return err
}

// versionFile is a file of a version.
type versionFile struct {
	Name string `json:"name"`
	// Hash is the SHA-256 of the content, in hexadecimal.
	Hash string `json:"hash"`
}

func (a *admin) versionFiles(k *call) error {
	i, err := registry.Get[registry.Version](k.Request().Context(), a.options.Registry, registry.KindVersion, k.Param("api")+"/"+k.Param("version"))
	if err != nil {
		return err
	}
	list := []versionFile{}
	for _, name := range slices.Sorted(maps.Keys(i.Body.Files)) {
		list = append(list, versionFile{name, i.Body.Files[name]})
	}
	k.tag(i.Revision)
	return k.JSON(http.StatusOK, items[versionFile]{Items: list})
}

func (a *admin) exportVersion(k *call) error {
	i, err := registry.Get[registry.Version](k.Request().Context(), a.options.Registry, registry.KindVersion, k.Param("api")+"/"+k.Param("version"))
	if err != nil {
		return err
	}
	files, err := a.options.Registry.Export(k.Request().Context(), i.Body.API, i.Body.Version)
	if err != nil {
		return err
	}
	k.tag(i.Revision)
	k.Response().Header().Set("Content-Type", "application/x-tar")
	k.Response().Header().Set("Content-Disposition", `attachment; filename="`+i.Body.API+"-"+i.Body.Version+`.tar"`)
	k.Response().WriteHeader(http.StatusOK)
	archive := tar.NewWriter(k.Response())
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name])), ModTime: i.Changed}
		if err := archive.WriteHeader(h); err != nil {
			return err
		}
		if _, err := archive.Write(files[name]); err != nil {
			return err
		}
	}
	return archive.Close()
}

func (a *admin) versionChanges(k *call) error {
	from, changes, err := a.options.Registry.Changes(k.Request().Context(), k.Param("api"), k.QueryParam("from"), k.Param("version"))
	if err != nil {
		return err
	}
	return k.JSON(http.StatusOK, struct {
		From  string            `json:"from"`
		Items []registry.Change `json:"items"`
	}{from, append([]registry.Change{}, changes...)})
}
