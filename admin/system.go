package admin

import (
	"net/http"

	"github.com/labstack/echo/v4"
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

func (a *admin) systems(c echo.Context) error {
	return c.JSON(http.StatusOK, items[SystemStatus]{a.systemList()})
}
