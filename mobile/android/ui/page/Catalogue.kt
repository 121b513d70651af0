package clavicle.ui.page

import java.time.Instant
import java.time.LocalDate
import java.time.ZoneId
import java.time.format.DateTimeFormatter
import java.time.format.FormatStyle
import java.util.Locale

/**
 * What sentences say in one language: patterns as ICU writes them, of which the catalogue uses two forms, `{name}` and
 * `{name, plural, one {# image} other {# images}}`. A sentence that is missing is a defect of the catalogue, which the checks of the
 * build find: here its key is shown, so that it is seen.
 */
class Catalogue(private val patterns: Map<String, String>, val locale: Locale, private val zone: ZoneId) {
    fun say(sentence: Sentence): String = say(sentence.key, sentence.arguments)

    private fun say(key: String, arguments: List<Argument>): String {
        val pattern = patterns[key] ?: return key
        return Pattern(pattern).say { name -> arguments.firstOrNull { it.name == name }?.value }
    }

    private fun word(value: Value): String = when (value) {
        is Value.Text -> isolated(value.text)
        is Value.Count -> String.format(locale, "%,d", value.count)
        is Value.Day -> isolated(dates.format(LocalDate.of(value.year, value.month, value.day)))
        is Value.Instant -> isolated(instants.format(Instant.ofEpochMilli(value.ms).atZone(zone)))
        is Value.Span -> isolated(span(value.ms))
        is Value.Word -> say(value.key, emptyList())
    }

    private val dates = DateTimeFormatter.ofLocalizedDate(FormatStyle.LONG).withLocale(locale)
    private val instants = DateTimeFormatter.ofLocalizedDateTime(FormatStyle.LONG, FormatStyle.SHORT).withLocale(locale)

    /** In the largest unit that divides it nearly: "7 days", "30 minutes". */
    private fun span(ms: Long): String {
        val minutes = (ms + 59_999) / 60_000
        val (key, count) = when {
            minutes >= 48 * 60 || minutes == 24L * 60 -> "span.days" to (minutes + 720) / 1440
            minutes >= 120 || minutes == 60L -> "span.hours" to (minutes + 30) / 60
            else -> "span.minutes" to minutes
        }
        return say(key, listOf(Argument("count", Value.Count(count))))
    }

    /** A pattern, read from left to right; what is nested is read by itself. */
    private inner class Pattern(val pattern: String, val number: Long? = null) {
        fun say(value: (String) -> Value?): String = buildString {
            var at = 0
            while (at < pattern.length) {
                when (val c = pattern[at]) {
                    '{' -> {
                        val end = closing(at)
                        append(filled(pattern.substring(at + 1, end), value))
                        at = end
                    }
                    '#' -> append(if (number == null) "#" else word(Value.Count(number)))
                    else -> append(c)
                }
                at++
            }
        }

        private fun filled(inside: String, value: (String) -> Value?): String {
            val name = inside.substringBefore(',').trim()
            val given = value(name) ?: return "{$name}"
            if (!inside.contains(',')) return word(given)
            val count = (given as? Value.Count)?.count ?: return "{$name}"
            val forms = inside.substringAfter("plural,", "")
            val form = form(forms, "=$count") ?: form(forms, if (count == 1L) "one" else "other") ?: form(forms, "other") ?: return "{$name}"
            return Pattern(form, count).say(value)
        }

        private fun form(forms: String, name: String): String? {
            var at = 0
            while (at < forms.length) {
                val open = forms.indexOf('{', at)
                if (open < 0) return null
                val end = closing(open, forms)
                if (forms.substring(at, open).trim() == name) return forms.substring(open + 1, end)
                at = end + 1
            }
            return null
        }

        private fun closing(open: Int, of: String = pattern): Int {
            var depth = 0
            for (at in open until of.length) {
                if (of[at] == '{') depth++
                if (of[at] == '}' && --depth == 0) return at
            }
            return of.length - 1
        }
    }

    private companion object {
        /** A name and a date are written in their own direction, and turn nothing round them. */
        fun isolated(text: String) = "\u2068$text\u2069"
    }
}
