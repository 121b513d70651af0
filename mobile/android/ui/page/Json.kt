package clavicle.ui.page

/**
 * JSON, as far as files that come with the app need it: objects are maps, arrays lists, whole numbers longs. What is not JSON is refused with
 * the place where it is not.
 */
class Json private constructor(private val text: String) {
    private var at = 0

    private fun value(depth: Int): Any? {
        require(depth < 64) { "nested too deep at $at" }
        space()
        return when (peek()) {
            '{' -> entries(depth)
            '[' -> list(depth)
            '"' -> string()
            't' -> word("true", true)
            'f' -> word("false", false)
            'n' -> word("null", null)
            else -> number()
        }
    }

    private fun entries(depth: Int): Map<String, Any?> = buildMap {
        listed('}') {
            space()
            val name = string()
            space()
            expect(':')
            require(name !in this) { "$name stands twice, at $at" }
            put(name, value(depth + 1))
        }
    }

    private fun list(depth: Int): List<Any?> = buildList { listed(']') { add(value(depth + 1)) } }

    private fun listed(end: Char, one: () -> Unit) {
        at++
        space()
        if (peek() == end) {
            at++
            return
        }
        while (true) {
            one()
            space()
            if (peek() == end) {
                at++
                return
            }
            expect(',')
        }
    }

    private fun string(): String {
        expect('"')
        return buildString {
            while (true) {
                when (val c = next()) {
                    '"' -> return@buildString
                    '\\' -> when (val escaped = next()) {
                        'n' -> append('\n')
                        't' -> append('\t')
                        'r' -> append('\r')
                        'b' -> append('\b')
                        'f' -> append('\u000c')
                        'u' -> append(String(CharArray(4) { next() }).toInt(16).toChar())
                        else -> append(escaped)
                    }
                    else -> append(c)
                }
            }
        }
    }

    private fun number(): Long {
        val from = at
        while (at < text.length && (text[at] == '-' || text[at].isDigit())) at++
        return requireNotNull(text.substring(from, at).toLongOrNull()) { "no value at $from" }
    }

    private fun <T> word(word: String, value: T): T {
        require(text.startsWith(word, at)) { "no value at $at" }
        at += word.length
        return value
    }

    private fun space() {
        while (at < text.length && text[at] in " \n\r\t") at++
    }

    private fun peek(): Char {
        require(at < text.length) { "ends too early" }
        return text[at]
    }

    private fun next() = peek().also { at++ }

    private fun expect(c: Char) = require(next() == c) { "no $c at ${at - 1}" }

    companion object {
        fun read(text: String): Any? {
            val json = Json(text)
            val value = json.value(0)
            json.space()
            require(json.at == text.length) { "more than one value" }
            return value
        }
    }
}
