package command

// findSort finds the names in SORT and SORT_RO.
//
//	SORT key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC | DESC] [ALPHA] [STORE destination]
//
// Every option may be given any number of times and in any order. "GET #" means the element itself and names nothing.
// SORT_RO has no STORE; there it is an option that does not exist.
func findSort(store bool) Finder {
	return func(dst []int32, args Args) ([]int32, Verdict) {
		n := args.Len()
		if n < 2 {
			return dst, Unparsed
		}
		dst = append(dst, 1)
		var verdict Verdict
		for i := 2; i < n; i++ {
			left := n - i - 1
			switch option := args.At(i); {
			case is(option, "ASC"), is(option, "DESC"), is(option, "ALPHA"):
			case is(option, "LIMIT") && left >= 2:
				i += 2
			case is(option, "BY") && left >= 1:
				i++
				dst = append(dst, int32(i))
				verdict |= Patterns
			case is(option, "GET") && left >= 1:
				i++
				if pattern := args.At(i); len(pattern) != 1 || pattern[0] != '#' {
					dst = append(dst, int32(i))
					verdict |= Patterns
				}
			case store && is(option, "STORE") && left >= 1:
				i++
				dst = append(dst, int32(i))
				verdict |= Stores
			default:
				return rest(dst, args, i), verdict | Unparsed
			}
		}
		return dst, verdict
	}
}

// findGeoRadius finds the names in GEORADIUS and GEORADIUSBYMEMBER, whose options begin at argument options.
//
//	GEORADIUS key longitude latitude radius unit [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC]
//	    [STORE key | STOREDIST key]
//
// The last STORE or STOREDIST counts; earlier ones are prefixed as well, since it costs nothing. A server looks at
// ANY on its own, so that it may stand anywhere.
func findGeoRadius(options int) Finder {
	return func(dst []int32, args Args) ([]int32, Verdict) {
		n := args.Len()
		if n < 2 {
			return dst, Unparsed
		}
		dst = append(dst, 1)
		var verdict Verdict
		for i := options; i < n; i++ {
			left := n - i - 1
			switch option := args.At(i); {
			case is(option, "WITHDIST"), is(option, "WITHHASH"), is(option, "WITHCOORD"):
			case is(option, "ASC"), is(option, "DESC"), is(option, "ANY"):
			case is(option, "COUNT") && left >= 1:
				i++
			case (is(option, "STORE") || is(option, "STOREDIST")) && left >= 1:
				i++
				dst = append(dst, int32(i))
				verdict |= Stores
			default:
				return rest(dst, args, i), verdict | Unparsed
			}
		}
		return dst, verdict
	}
}

// findStreams finds the keys in XREAD and XREADGROUP.
//
//	XREADGROUP GROUP group consumer [COUNT n] [BLOCK ms] [CLAIM ms] [NOACK] STREAMS key ... id ...
//
// A group or a consumer may be called STREAMS, and so may a key, so the options in front must be walked: a server
// takes the first STREAMS that is an option. Both commands share one parser in the servers, and share it here. The
// arguments after STREAMS are keys in their first half and identifiers in their second.
func findStreams(dst []int32, args Args) ([]int32, Verdict) {
	n := args.Len()
	var verdict Verdict
	for i := 1; i < n; i++ {
		left := n - i - 1
		switch option := args.At(i); {
		case is(option, "NOACK"):
		case is(option, "BLOCK") && left >= 1:
			verdict |= Blocks
			i++
		case (is(option, "COUNT") || is(option, "CLAIM")) && left >= 1:
			i++
		case is(option, "GROUP") && left >= 2:
			i += 2
		case is(option, "STREAMS") && left >= 1:
			if left%2 != 0 {
				return rest(dst, args, i+1), verdict | Unparsed
			}
			for k := i + 1; k <= i+left/2; k++ {
				dst = append(dst, int32(k))
			}
			return dst, verdict
		default:
			return rest(dst, args, i), verdict | Unparsed
		}
	}
	return dst, verdict | Unparsed
}

// findCounted makes a finder for a number of keys at argument at, followed by every step-th argument, with the keys at
// the arguments before in front of it (a destination). Some commands take zero keys, and then name none.
//
//	ZUNIONSTORE destination numkeys key [key ...] [WEIGHTS weight ...] [AGGREGATE SUM | MIN | MAX]
//	EVAL script numkeys [key ...] [arg ...]
//	MSETEX numkeys key value [key value ...] [NX | XX] [EX seconds | ...]
//
// A count that is no number, or more than there are arguments, is one the server rejects. Not so a count of zero or
// less where the server wants at least one: it is rejected all the same, and no argument is a key.
func findCounted(at, step int, before ...int32) Finder {
	return func(dst []int32, args Args) ([]int32, Verdict) {
		n := args.Len()
		for _, i := range before {
			if int(i) < n {
				dst = append(dst, i)
			}
		}
		if at >= n {
			return dst, Unparsed
		}
		count, ok := parseInt(args.At(at))
		if !ok || count < 0 || count > int64(n-at-1)/int64(step) {
			return rest(dst, args, at+1), Unparsed
		}
		for i, end := at+1, at+step*int(count); i <= end; i += step {
			dst = append(dst, int32(i))
		}
		return dst, 0
	}
}
