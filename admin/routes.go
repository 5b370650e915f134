package admin

import (
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
)

// routes lists everything that the application answers.
func (a *admin) routes(e *echo.Echo) {
	e.Use(a.identify, a.protect, middleware.BodyLimitWithConfig(middleware.BodyLimitConfig{
		Limit:   "64K",
		Skipper: func(c echo.Context) bool { return strings.HasPrefix(c.Path(), "/admin/v1/writes") }, // an edited body may be long
	}))

	both := []string{"GET", "HEAD"}
	e.Match(both, "/healthz", a.healthz)
	e.Match(both, "/readyz", a.readyz)
	e.GET("/metrics", a.metrics)
	e.GET("/", a.overview, a.person)

	// Not a group with middleware: that would answer 404 instead of 405.
	v1 := e.Group("/admin/v1")
	v1.GET("/status", a.status, a.program)
	v1.GET("/apis", a.apis, a.program)
	v1.GET("/operations", a.operations, a.program)
	v1.GET("/systems", a.systems, a.program)
	v1.GET("/problems", a.problems, a.program)
	if a.options.Writes != nil {
		v1.Any("/writes", echo.WrapHandler(a.options.Writes), a.program)
		v1.Any("/writes/*", echo.WrapHandler(a.options.Writes), a.program)
	}
}
