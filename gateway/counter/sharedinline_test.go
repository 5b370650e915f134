package counter

import "testing"

// A script has the functions that it names, and those that these name; no others.
func TestInlineLeavesOutWhatIsNotNamed(t *testing.T) {
	script := `local function one(a) return a + 1 end
local function two(a)
  if a > 0 then return one(a) end
  return 0
end
local function three(a)
  return two(a)
end
-- three is not named by what says so in a comment.
local function four(a) return one(a) end
return four(1)
`
	want := `local function one(a) return a + 1 end
-- three is not named by what says so in a comment.
local function four(a) return one(a) end
return four(1)
`
	if got := inline(script); got != want {
		t.Errorf("it is\n%s", got)
	}
}
