package value

// isNative reports whether the server itself may be asked to compute with a
// value: what INCR and INCRBYFLOAT would take, and what PFADD made. Such a value stays
// plain, so that those commands need nobody's help.
func isNative(plain []byte) bool {
	switch c := plain[0]; {
	case c == 'H':
		return len(plain) >= 4 && plain[1] == 'Y' && plain[2] == 'L' && plain[3] == 'L'
	case c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.':
		return isNumber(plain)
	}
	return false
}

// maxNumber is longer than any text that a server reads as a number.
const maxNumber = 5 << 10

// isNumber reports whether a text is a decimal or hexadecimal number as C reads
// them, with an optional fraction and exponent. It may take more for a number than a server does.
func isNumber(text []byte) bool {
	if len(text) > maxNumber {
		return false
	}
	if text[0] == '-' || text[0] == '+' {
		text = text[1:]
	}
	hex := len(text) > 2 && text[0] == '0' && text[1]|0x20 == 'x'
	if hex {
		text = text[2:]
	}
	digits, point := 0, false
	for i, c := range text {
		lower := c | 0x20
		switch {
		case c >= '0' && c <= '9' || hex && lower >= 'a' && lower <= 'f':
			digits++
		case c == '.' && !point:
			point = true
		case digits > 0 && (lower == 'e' && !hex || lower == 'p' && hex):
			return isExponent(text[i+1:])
		default:
			return false
		}
	}
	return digits > 0
}

// isExponent reports whether a text is what may stand behind the e of a number.
func isExponent(text []byte) bool {
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		text = text[1:]
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(text) > 0
}

// isCompressed reports whether a value begins like a file or stream whose
// format compresses already. Text never gets beyond the first comparison or two.
func isCompressed(b []byte) bool {
	if len(b) < 12 {
		return false
	}
	switch b[0] {
	case 0xff: // JPEG
		return b[1] == 0xd8 && b[2] == 0xff
	case 0x89: // PNG
		return string(b[1:8]) == "PNG\r\n\x1a\n"
	case 'G': // GIF
		return string(b[1:4]) == "IF8" && (b[4] == '7' || b[4] == '9') && b[5] == 'a'
	case 'R': // WebP (RIFF alone may be plain sound), RAR
		return string(b[1:4]) == "IFF" && string(b[8:12]) == "WEBP" || string(b[1:6]) == "ar!\x1a\x07"
	case 0x1f: // gzip, compress
		return b[1] == 0x8b && b[2] == 8 || b[1] == 0x9d
	case 0x28: // zstd
		return string(b[1:4]) == "\xb5\x2f\xfd"
	case 0x04: // LZ4 frame
		return string(b[1:4]) == "\x22\x4d\x18"
	case 'B': // bzip2
		return b[1] == 'Z' && b[2] == 'h' && b[3] >= '1' && b[3] <= '9' && string(b[4:10]) == "1AY&SY"
	case 0xfd: // xz
		return string(b[1:6]) == "7zXZ\x00"
	case 'P': // zip, and what is built on it
		return b[1] == 'K' && (b[2] == 3 && b[3] == 4 || b[2] == 5 && b[3] == 6)
	case '7': // 7z
		return string(b[1:6]) == "z\xbc\xaf\x27\x1c"
	case 'O': // Ogg
		return string(b[1:4]) == "ggS"
	case 'w': // web fonts
		return string(b[1:4]) == "OF2" || string(b[1:4]) == "OFF"
	case 'f': // FLAC
		return string(b[1:4]) == "LaC"
	case 'I': // MP3 with tags
		return b[1] == 'D' && b[2] == '3' && b[3] <= 4
	case 0x1a: // Matroska, WebM
		return string(b[1:4]) == "\x45\xdf\xa3"
	case 0: // MP4, AVIF, HEIC
		return string(b[4:8]) == "ftyp"
	}
	return false
}
