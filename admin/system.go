package admin

import (
	"net/http"
)

// systemList is never nil, nor are the pools in it.
func (a *admin) systemList() []SystemStatus {
	list := append([]SystemStatus{}, a.options.Systems()...)
	for i := range list {
		if list[i].Pools == nil {
			list[i].Pools = []PoolStatus{}
		}
	}
	return list
}

func (a *admin) systems(c *call) error {
	return c.JSON(http.StatusOK, items[SystemStatus]{Items: a.systemList()})
}
