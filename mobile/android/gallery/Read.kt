package clavicle.gallery

import clavicle.ui.page.*

/** Pages, read from what `mobile/state` writes of each of its states. Whatever is not as it must be ends the run: no state has a default. */
object Read {
    private fun Any?.map() = this as Map<*, *>
    private fun Any?.list() = this as List<*>
    private fun Map<*, *>.at(name: String): Any? {
        require(containsKey(name)) { "no $name in $keys" }
        return get(name)
    }
    private fun Map<*, *>.text(name: String) = at(name) as String
    private fun Map<*, *>.long(name: String) = at(name) as Long
    private fun Map<*, *>.int(name: String) = long(name).toInt()

    /** An enum with data, as serde writes it: a word, or an object with one entry. */
    private fun Any?.variant(): Pair<String, Any?> = when (this) {
        is String -> this to null
        is Map<*, *> -> entries.single().let { it.key as String to it.value }
        else -> error("no variant: $this")
    }

    fun pages(json: String): List<Page> = Json.read(json).list().map { page(it.map()) }

    fun page(of: Map<*, *>) = Page(
        of.text("name"), tone(of.at("tone")), sentence(of.at("title")), sentence(of.at("text")),
        of.at("banners").list().map { banner(it.map()) },
        of.at("parts").list().map { part(it) },
        press(of.at("main")), of.at("others").list().map { press(it) }, press(of.at("back")),
    )

    private fun tone(of: Any?) = Tone.valueOf((of as String).uppercase())

    private fun banner(of: Map<*, *>) = Banner(tone(of.at("tone")), sentence(of.at("text")), of.at("button")?.let { press(it) })

    private fun press(of: Any?): Press = of.map().let { Press(it.text("id"), sentence(it.at("text")), it.at("is_possible") as Boolean, outside(it.at("outside"))) }

    private fun outside(of: Any?): Outside {
        val (name, inside) = of.variant()
        return when (name) {
            "nothing" -> Outside.Nothing
            "settings" -> Outside.Settings
            "picture" -> Outside.Picture
            "send" -> Outside.Send(inside.map().text("text"))
            "leave" -> Outside.Leave
            else -> error("no such thing outside: $name")
        }
    }

    private fun part(of: Any?): Part {
        val (name, inside) = of.variant()
        val m = inside.map()
        return when (name) {
            "rows" -> Part.Rows(m.at("rows").list().map { entry(it.map()) })
            "facts" -> Part.Facts(m.at("facts").list().map { Fact(sentence(it.map().at("label")), sentence(it.map().at("value"))) })
            "choices" -> Part.Choices(
                sentence(m.at("label")), m.at("is_one") as Boolean,
                m.at("choices").list().map { Choice(press(it.map().at("button")), it.map().at("is_chosen") as Boolean) },
            )
            "field" -> m.at("field").map().let {
                Part.Field(FieldAsked(it.text("name"), sentence(it.at("label")), FieldKind.valueOf(it.text("kind").uppercase()), it.text("content")))
            }
            "camera" -> Part.Camera(m.at("torch") as Boolean)
            "code" -> Part.Code(m.text("content"))
            "secret_words" -> Part.SecretWords(m.int("count"))
            "four_words" -> Part.FourWords(m.text("words"))
            "progress" -> Part.Progress(sentence(m.at("label")), m.long("done"), m.long("all"))
            "picture" -> m.at("picture").map().let {
                Part.Picture(
                    PictureShown(
                        it.int("view"), it.int("at"), it.int("of"), it.text("identity"), it.text("made"), it.text("side"),
                        sentence(it.at("warning")),
                    ),
                )
            }
            "report" -> Part.Report(m.at("paragraphs").list().map { it as String })
            "notes" -> Part.Notes(m.at("notes").list().map { sentence(it) })
            else -> error("no such part: $name")
        }
    }

    private fun entry(of: Map<*, *>) =
        Entry(tone(of.at("tone")), sentence(of.at("title")), of.at("lines").list().map { sentence(it) }, of.at("button")?.let { press(it) })

    private fun sentence(of: Any?): Sentence = of.map().let { m ->
        Sentence(m.text("key"), m.at("arguments").list().map { Argument(it.map().text("name"), value(it.map().at("value"))) })
    }

    private fun value(of: Any?): Value {
        val (name, inside) = of.variant()
        return when (name) {
            "text" -> Value.Text(inside as String)
            "count" -> Value.Count(inside as Long)
            "day" -> inside.map().let { Value.Day(it.int("year"), it.int("month"), it.int("day")) }
            "instant" -> Value.Instant(inside as Long)
            "span" -> Value.Span(inside as Long)
            "word" -> Value.Word(inside as String)
            else -> error("no such value: $name")
        }
    }
}
