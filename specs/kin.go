package specs

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/headrace/headrace/specs/source"
)

// harmless are kin-openapi's rules that documents of vendors break without
// any effect on what a gateway does, and those that are checked elsewhere with
// better places. The rules about examples, default values and patterns are
// switched off as a whole: examples and defaults decide nothing here, and
// patterns are compiled with the schemas.
var harmless = []string{
	// Descriptive parts.
	"default-required", "server-url-required", "server-url-template-invalid", "duplicate-tag", "external-docs-url-required",
	"license-name-required", "identifier-field-for-3-1-plus", "url-identifier-mutually-exclusive", "summary-field-for-3-1-plus",
	"operation-responses-required", "responses-required",
	"example-examples-mutually-exclusive", "examples-field-for-3-1-plus", "value-external-value-mutually-exclusive", "value-or-external-value-required",
	"operation-id-operation-ref-mutually-exclusive", "operation-id-or-operation-ref-required",
	"comment-field-for-3-1-plus", "id-field-for-3-1-plus", "content-media-type-field-for-3-1-plus", "content-encoding-field-for-3-1-plus",
	"json-schema-dialect-required", "jsonschemadialect-field-for-3-1-plus",
	// Without consequence: a path parameter is always required, a list without
	// items takes any, a doubled parameter or required name says nothing new.
	"path-parameter-required", "schema-items-required", "duplicate-parameter", "duplicate-required-field", "read-only-write-only-mutually-exclusive",
	// Checked here.
	"paths-required", "webhooks-field-for-3-1-plus", "extra-sibling-fields", "duplicate-operation-id", "conflicting-paths", "path-parameters-mismatch", "path-must-start-with-slash",
	"security-requirement-scheme-undefined",
}

// unread are the sections of a document that decide nothing.
var unread = []string{"servers", "tags", "external docs", "webhooks", "jsonSchemaDialect"}

// read gives kin-openapi's model of the document, references resolved; nil
// when it finds something wrong.
func (l *loader) read() (api *openapi3.T) {
	defer func() { // a document must not bring the process down, whatever it holds
		if p := recover(); p != nil {
			l.ps.Add(l.root, fmt.Sprintf("the document cannot be read: %v", p), "")
			api = nil
		}
	}()
	reader := openapi3.NewLoader()
	reader.ReadFromURIFunc = func(_ *openapi3.Loader, u *url.URL) ([]byte, error) {
		return nil, fmt.Errorf("%s is outside the document", u)
	}
	api, err := reader.LoadFromData(l.withoutSiblings())
	if err != nil {
		l.ps.Add(l.root, "the document cannot be read: "+firstLine(err), "")
		return nil
	}
	describe(api)
	if len(faults(api)) == 0 {
		return api
	}
	for _, err := range faults(mark(api)) {
		l.ps.Add(l.place(err), message(err), "")
	}
	return nil
}

// describe gives responses the description that they need for the rest of them
// to be looked at.
func describe(api *openapi3.T) {
	var responses []map[string]*openapi3.ResponseRef
	if api.Components != nil {
		responses = append(responses, api.Components.Responses)
	}
	for _, item := range api.Paths.Map() {
		for _, op := range item.Operations() {
			responses = append(responses, op.Responses.Map())
		}
	}
	for _, section := range responses {
		for _, r := range section {
			if r.Value != nil && r.Value.Description == nil {
				r.Value.Description = new(string)
			}
		}
	}
}

// faults lists what kin-openapi finds and what matters of it. Security schemes
// are read by their type here; what does not belong to it is passed over, and
// mutualTLS may stand in 3.0 documents too.
func faults(api *openapi3.T) []error {
	err := api.Validate(context.Background(), openapi3.EnableMultiError(), openapi3.DisableExamplesValidation(),
		openapi3.DisableSchemaDefaultsValidation(), openapi3.DisableSchemaPatternValidation())
	list, ok := err.(openapi3.MultiError)
	if !ok && err != nil {
		list = openapi3.MultiError{err}
	}
	return slices.DeleteFunc(slices.Clone(list), func(err error) bool {
		var coded openapi3.CodedError
		var section *openapi3.SectionValidationError
		var component *openapi3.ComponentValidationError
		var docs *openapi3.ExternalDocsURLValidationError
		return errors.As(err, &coded) && slices.Contains(harmless, coded.Code()) ||
			errors.As(err, &section) && slices.Contains(unread, section.Section) ||
			errors.As(err, &component) && component.Section == "security scheme" || errors.As(err, &docs)
	})
}

// mark notes in every schema and parameter where it stands, as a JSON pointer,
// in the field that errors carry along.
func mark(api *openapi3.T) *openapi3.T {
	at := func(pointer string) *openapi3.Origin {
		return &openapi3.Origin{Key: &openapi3.Location{Name: pointer}}
	}
	_ = api.WalkSchemas(func(pointer string, s *openapi3.SchemaRef) error {
		s.Value.Origin = at(pointer)
		return nil
	})
	_ = api.WalkParameters(func(pointer string, p *openapi3.ParameterRef) error {
		p.Value.Origin = at(pointer)
		return nil
	})
	return api
}

// place finds where an error belongs: at the schema or parameter that it
// names, or else at the component or operation.
func (l *loader) place(err error) source.Node {
	n := l.root
	for ; err != nil; err = errors.Unwrap(err) {
		switch e := err.(type) {
		case *openapi3.SectionValidationError:
			n = n.At(e.Section)
		case *openapi3.ComponentValidationError:
			n = n.At(componentSection(e.Section), e.Name)
		case *openapi3.PathValidationError:
			n = l.root.At("paths", e.Path)
		case *openapi3.OperationValidationError:
			n = n.At(strings.ToLower(e.Method))
		}
		if pointer, ok := origin(err); ok {
			if exact, ok := l.root.Pointer(pointer); ok {
				n = exact
			}
		}
	}
	return n
}

// componentSection is the key under components of what kin-openapi calls it.
func componentSection(name string) string {
	words := strings.Fields(name)
	for i := 1; i < len(words); i++ {
		words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
	}
	return sections[strings.Join(words, "")]
}

// origin is the pointer that mark has put where the error comes from.
func origin(err error) (pointer string, ok bool) {
	v := reflect.Indirect(reflect.ValueOf(err))
	if v.Kind() != reflect.Struct {
		return "", false
	}
	f := v.FieldByName("Origin")
	if !f.IsValid() || !f.CanInterface() {
		return "", false
	}
	o, ok := f.Interface().(*openapi3.Origin)
	if !ok || o == nil || o.Key == nil {
		return "", false
	}
	return o.Key.Name, true
}

// message is what an error says, without the places that it leads through.
func message(err error) string {
	for {
		switch err.(type) {
		case *openapi3.SectionValidationError, *openapi3.ComponentValidationError, *openapi3.PathValidationError,
			*openapi3.OperationValidationError, *openapi3.ParameterFieldValidationError, *openapi3.HeaderFieldValidationError,
			*openapi3.SchemaCombinatorElementValidationError:
			err = errors.Unwrap(err)
		default:
			return firstLine(err)
		}
	}
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
