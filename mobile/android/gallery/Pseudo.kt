package clavicle.gallery

/** Languages that nobody speaks, made of English, as Android has them: they show what a real one would break. */
object Pseudo {
    /** `en-XA`: with accents, a third longer, and in brackets, so that what is cut off or put together is seen. */
    fun accented(pattern: String): String {
        val words = outside(pattern) { text -> text.map { ACCENTS[it] ?: it }.joinToString("") }
        val more = " one two three four five six seven eight nine ten".repeat(1 + pattern.length / 100).take(pattern.length / 3)
        return "[$words$more]"
    }

    /** `ar-XB`: each word written from right to left. */
    fun rightToLeft(pattern: String) = outside(pattern) { text -> text.replace(Regex("[A-Za-z’]+")) { "\u202E${it.value}\u202C" } }

    /** What stands outside of `{…}` is changed; inside only the forms of a plural are. */
    private fun outside(pattern: String, change: (String) -> String): String = buildString {
        var at = 0
        while (at < pattern.length) {
            val open = pattern.indexOf('{', at).let { if (it < 0) pattern.length else it }
            append(change(pattern.substring(at, open)))
            if (open == pattern.length) break
            val end = closing(pattern, open)
            append('{').append(forms(pattern.substring(open + 1, end), change)).append('}')
            at = end + 1
        }
    }

    private fun forms(inside: String, change: (String) -> String): String {
        if (!inside.contains('{')) return inside
        return buildString {
            var at = 0
            while (at < inside.length) {
                val open = inside.indexOf('{', at).let { if (it < 0) inside.length else it }
                append(inside, at, open)
                if (open == inside.length) break
                val end = closing(inside, open)
                append('{').append(outside(inside.substring(open + 1, end), change)).append('}')
                at = end + 1
            }
        }
    }

    private fun closing(text: String, open: Int): Int {
        var depth = 0
        for (at in open until text.length) {
            if (text[at] == '{') depth++
            if (text[at] == '}' && --depth == 0) return at
        }
        error("a bracket of “$text” does not close")
    }

    private val ACCENTS = "aeiouyncszAEIOUYNCSZ".zip("åéîöûýñçšžÅÉÎÖÛÝÑÇŠŽ").toMap()
}
