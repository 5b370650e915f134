// Package demo holds the workspace of the demo: a distributor with an ERP, a
// WMS, a TMS and a CRM.
package demo

import (
	"embed"
	"io/fs"
)

//go:embed workspace
var files embed.FS

// Key is the API key of the app ashgrove-shop. It opens nothing but the demo.
const Key = "hr_demoshop_headrace0demo0key0not0a0secret000"

// TrialKey is the API key of the app larchmont-trial, which is on the smallest plan.
const TrialKey = "hr_demofree_headrace0demo0key0free0plan000000"

// Workspace is the demo's workspace.
func Workspace() (fs.FS, error) { return fs.Sub(files, "workspace") }

// System is a simulator that the workspace's systems point to.
type System struct {
	Name, Kind, Address string
}

// Systems lists the simulators, with the addresses that stand in systems/.
func Systems() []System {
	return []System{
		{"erp", "netsuite", "127.0.0.1:9101"},
		{"wms", "wms", "127.0.0.1:9102"},
		{"tms", "tms", "127.0.0.1:9103"},
		{"crm", "dataverse", "127.0.0.1:9104"},
	}
}
