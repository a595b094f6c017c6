package command

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// rows is one group of the table. The compiler refuses a name given twice in one group, and build one given in two.
type rows map[string]Command

// groups are the parts of the table, one per file table_*.go.
var groups = []rows{
	genericRows, stringRows, bitmapRows, hashRows, listRows, setRows, sortedSetRows, geoRows, hyperLogLogRows,
	streamRows, arrayRows, vectorRows, pubSubRows, transactionRows, scriptRows, connectionRows, serverRows, clusterRows,
}

// since marks all rows of a group as coming with one server, unless they say otherwise.
func since(server string, group rows) rows {
	for name, row := range group {
		if row.Since == "" {
			row.Since = server
			group[name] = row
		}
	}
	return group
}

func init() {
	all = build(groups)
	for _, c := range all {
		enter(c)
	}
}

// build turns the rows into the table: it numbers them and derives what follows from something else. A mistake in the
// rows is a mistake in the source, so it panics, and every test shows it.
func build(groups []rows) []*Command {
	byName := make(map[string]*Command)
	for _, group := range groups {
		for name, row := range group {
			if byName[name] != nil {
				panic("command: two rows for " + name)
			}
			row.Name = name
			byName[name] = &row
		}
	}
	names := slices.SortedFunc(maps.Keys(byName), byContainer)
	table := make([]*Command, 0, len(names))
	for _, name := range names {
		c := byName[name]
		c.ID = len(table)
		c.sub = name
		if container, sub, ok := strings.Cut(name, "|"); ok {
			c.sub = sub
			c.Parent = byName[container]
			if c.Parent == nil {
				panic("command: no row for the container of " + name)
			}
			c.Parent.Subs = append(c.Parent.Subs, c)
		}
		c.derive()
		table = append(table, c)
	}
	return table
}

// byContainer orders names so that a container comes right before its subcommands.
func byContainer(a, b string) int {
	return slices.Compare(strings.Split(a, "|"), strings.Split(b, "|"))
}

// derive fills in the fields that follow from others.
func (c *Command) derive() {
	c.Cats = implied(c.Flags, c.Cats)
	c.Class = classOf(c)
	c.Audit = auditOf(c)
	c.deriveNeeds()
	defer c.deriveGrowth() // which follows from the shape as well
	if c.Since != "" {
		c.ErrKeys = true // a server that does not know the command quotes its arguments in the error
	}
	if c.Shape.Kind != ShapeNone {
		return // given in the row
	}
	if c.Find != nil {
		c.Shape = Shape{Kind: ShapeCustom}
		return
	}
	if shape, ok := plainShape(c.Keys); ok {
		c.Shape = shape
		return
	}
	if finder, ok := countedFinder(c.Keys); ok {
		c.Find = finder
		c.Shape = Shape{Kind: ShapeCustom}
		return
	}
	if c.Run != Refused {
		panic(fmt.Sprintf("command: %s needs a finder, its key specifications do not tell where the keys are", c.Name))
	}
}

// plainShape returns the shape of specifications that together are one evenly spaced range, such as the two of RENAME
// or the destination and the sources of SINTERSTORE.
func plainShape(specs KeySpecs) (Shape, bool) {
	var shape Shape
	for i, spec := range specs {
		if spec.Begin != BeginIndex || spec.Find != KeysRange || spec.Limit != 0 {
			return Shape{}, false
		}
		last := spec.Last
		if last >= 0 {
			last += spec.Index
		}
		next := Shape{Kind: ShapeRange, First: int32(spec.Index), Last: int32(last), Step: int32(spec.Step)}
		if i == 0 {
			shape = next
			continue
		}
		if shape.Last < 0 || next.First != shape.Last+1 || next.Step != 1 || shape.Step != 1 {
			return Shape{}, false
		}
		shape.Last = next.Last
	}
	if shape.Kind == ShapeRange && shape.First == shape.Last {
		shape.Kind = ShapeOne
	}
	return shape, true
}

// countedFinder returns the finder for specifications that are a count with its keys, possibly with a single key in
// front of it.
func countedFinder(specs KeySpecs) (Finder, bool) {
	var before []int32
	for i, spec := range specs {
		if spec.Begin != BeginIndex {
			return nil, false
		}
		switch {
		case spec.Find == KeysRange && spec.Last == 0:
			before = append(before, int32(spec.Index))
		case spec.Find == KeysCount && spec.Last == 0 && spec.First == 1 && i == len(specs)-1:
			return findCounted(spec.Index, spec.Step, before...), true
		default:
			return nil, false
		}
	}
	return nil, false
}
