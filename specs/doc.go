// Package specs turns OpenAPI documents into compiled contracts: it loads and
// governs them, matches a request to an operation, and checks requests and
// responses. It is the only importer of kin-openapi.
package specs
