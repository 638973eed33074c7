package filter

import (
	"maps"
	"slices"
)

// together tells whether fields that match in elements of arrays match together: all that are in one array,
// in one element of it. Each of the sets is where one field matches.
//
// It goes from the last element to the first, so from the inside outwards. What can match together in an
// element is what matches in it directly, and of each array in it what can match together in one of the
// elements.
func together(sets [][]int32, elements []element) bool {
	direct := directly(sets, elements)
	inner := map[int32][]int32{}       // arrays in an element
	arrays := map[int32]alternatives{} // what can match together in an array
	for _, e := range slices.Backward(slices.Sorted(maps.Keys(direct))) {
		can := alternatives{direct[e]}
		for _, a := range inner[e] {
			can = can.and(arrays[a])
		}
		if slices.Contains(can, all(len(sets))) {
			return true // what is around it has nothing to add
		}
		if e == 0 {
			break
		}
		a, outer := elements[e].array, elements[e].in
		if arrays[a] == nil {
			inner[outer] = append(inner[outer], a)
		}
		arrays[a] = arrays[a].or(can)
	}
	return false
}

// directly is what matches in each element, with nothing for those that are only around others.
func directly(sets [][]int32, elements []element) map[int32]group {
	direct := map[int32]group{0: 0}
	for field, set := range sets {
		for _, e := range set {
			_, known := direct[e]
			direct[e] |= 1 << field
			for !known {
				e = elements[e].in
				if _, known = direct[e]; !known {
					direct[e] = 0
				}
			}
		}
	}
	return direct
}

// group is a set of fields, by bits: the limits of keys and combinations leave a rule eleven.
type group uint64

func all(fields int) group { return 1<<fields - 1 }

// alternatives are groups of which each can match, none of them part of another.
type alternatives []group

// maxAlternatives bounds them. A body without names twice needs one: what has all fields of its array.
const maxAlternatives = 64

func (a alternatives) add(g group) alternatives {
	if slices.ContainsFunc(a, func(other group) bool { return g&^other == 0 }) {
		return a
	}
	a = slices.DeleteFunc(a, func(other group) bool { return other&^g == 0 })
	if len(a) == maxAlternatives {
		return a
	}
	return append(a, g)
}

func (a alternatives) or(b alternatives) alternatives {
	for _, g := range b {
		a = a.add(g)
	}
	return a
}

func (a alternatives) and(b alternatives) (both alternatives) {
	for _, x := range a {
		for _, y := range b {
			both = both.add(x | y)
		}
	}
	return both
}
