package clavicle.ui.page

import androidx.compose.foundation.Image
import androidx.compose.foundation.background
import androidx.compose.foundation.border
import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Box
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.aspectRatio
import androidx.compose.foundation.layout.fillMaxSize
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.layout.sizeIn
import androidx.compose.foundation.shape.RoundedCornerShape
import androidx.compose.runtime.Composable
import androidx.compose.runtime.key
import androidx.compose.runtime.mutableStateMapOf
import androidx.compose.runtime.remember
import androidx.compose.runtime.snapshots.SnapshotStateMap
import androidx.compose.ui.Alignment
import androidx.compose.ui.Modifier
import androidx.compose.ui.draw.clip
import androidx.compose.ui.graphics.Color
import androidx.compose.ui.layout.ContentScale
import androidx.compose.ui.platform.LocalDensity
import androidx.compose.ui.semantics.contentDescription
import androidx.compose.ui.semantics.semantics
import androidx.compose.ui.text.style.TextAlign
import androidx.compose.ui.unit.dp
import clavicle.ui.kit.*

/** A page, drawn. It decides nothing: what it shows stands in [page], and what a person does goes to [onAction]. */
@Composable
fun Screen(page: Page, catalogue: Catalogue, shell: Shell, onAction: (Act) -> Unit) = key(page.name) {
    val typed = remember { mutableStateMapOf<String, String>() }
    val secrets = page.parts.mapNotNull { (it as? Part.Field)?.field }.filter { it.kind.isSecret }
    fun action(press: Press) = Do(catalogue.say(press.text), press.isPossible) {
        secrets.forEach { field -> typed[field.name]?.let { onAction(Act.Secret(field.name, it.toCharArray())) } }
        onAction(Act.Pressed(press))
    }
    val drawing = Drawing(catalogue, shell, typed, ::action, onAction)
    // What must be seen first stands first; what is only to be known besides stands below what the page is about.
    val (urgent, besides) = page.banners.partition { it.tone == Tone.ALARM }
    // With large text the buttons would leave no room for what they are about: then only the main one stays in reach.
    val inReach = if (page.others.size <= 2 && LocalDensity.current.fontScale < 1.5f) page.others else emptyList()
    Frame(
        back = action(page.back),
        leaves = page.back.outside is Outside.Leave,
        title = catalogue.say(page.title),
        text = catalogue.say(page.text),
        emblem = emblem(page),
        main = action(page.main),
        others = inReach.map(::action),
        before = { urgent.forEach { drawing.Shown(it) } },
    ) {
        besides.forEach { drawing.Shown(it) }
        page.parts.forEach { drawing.Shown(it) }
        if (inReach.isEmpty()) page.others.forEach { Framed(action(it)) }
    }
}

/** A drawing for what the page says in words: of its tone, or, where nothing else is on it, of its place. */
private fun emblem(page: Page): Pair<Sign, clavicle.ui.kit.Tone>? = when (page.tone) {
    Tone.GOOD -> Signs.done to clavicle.ui.kit.Tone.Good
    Tone.CARE -> Signs.care to clavicle.ui.kit.Tone.Care
    Tone.ALARM -> Signs.stop to clavicle.ui.kit.Tone.Alarm
    Tone.PLAIN -> if (page.parts.all { it is Part.Notes || it is Part.Field || it is Part.Progress }) {
        place(page.name.substringBefore('.'))?.let { it to clavicle.ui.kit.Tone.Told }
    } else {
        null
    }
}

/** Decoration: what a page is about is said by its title. */
private fun place(name: String): Sign? = when (name) {
    "welcome" -> Signs.key
    "protect", "unlock", "settings" -> Signs.lock
    "words", "restore" -> Signs.words
    "home", "study", "pictures" -> Signs.picture
    "pick_up", "recover" -> Signs.hospital
    "share", "invite", "end", "who", "looked" -> Signs.people
    "devices", "lost" -> Signs.phone
    "export" -> Signs.export
    "card", "answer" -> Signs.card
    "inbox", "received", "recall" -> Signs.letter
    "working" -> Signs.wait
    else -> null
}

private fun Tone.kit() = when (this) {
    Tone.PLAIN -> clavicle.ui.kit.Tone.Told
    Tone.GOOD -> clavicle.ui.kit.Tone.Good
    Tone.CARE -> clavicle.ui.kit.Tone.Care
    Tone.ALARM -> clavicle.ui.kit.Tone.Alarm
}

private class Drawing(
    val catalogue: Catalogue,
    val shell: Shell,
    val typed: SnapshotStateMap<String, String>,
    val action: (Press) -> Do,
    val onAction: (Act) -> Unit,
) {
    @Composable
    fun Shown(banner: Banner) = Notice(banner.tone.kit(), catalogue.say(banner.text), banner.button?.let(action))

    @Composable
    fun Shown(part: Part) = when (part) {
        is Part.Rows -> Column(verticalArrangement = Arrangement.spacedBy(10.dp)) { part.rows.forEach { Shown(it) } }
        is Part.Facts -> Card { part.facts.forEach { Named(catalogue.say(it.label), catalogue.say(it.value)) } }
        is Part.Choices -> Shown(part)
        is Part.Field -> Shown(part.field)
        is Part.Camera -> shell.Camera(part.torch, Modifier.fillMaxWidth().aspectRatio(1f).clip(RoundedCornerShape(Look.round)))
        is Part.Code -> Code(shell.code(part.content), catalogue.say(Sentence("code.spoken", emptyList())))
        is Part.SecretWords -> Words(shell.words().take(part.count))
        is Part.FourWords -> FourWords(part.words)
        is Part.Progress -> Progress(catalogue.say(part.label), if (part.all == 0L) null else part.done.toFloat() / part.all)
        is Part.Picture -> Shown(part.picture)
        is Part.Report -> Card { part.paragraphs.forEach { Say(it, color = Look.palette.card.on) } }
        is Part.Notes -> part.notes.forEach { Quiet(catalogue.say(it)) }
    }

    @Composable
    private fun Shown(entry: Entry) {
        val press = entry.button?.let(action)
        Card(press) {
            Row(horizontalArrangement = Arrangement.spacedBy(10.dp)) {
                if (entry.tone != Tone.PLAIN) Sealed(entry.tone)
                Column(verticalArrangement = Arrangement.spacedBy(4.dp)) {
                    Say(catalogue.say(entry.title), style = Look.type.strong, color = Look.palette.card.on)
                    entry.lines.forEachIndexed { at, line ->
                        // Of a row that is not as always the first line says why.
                        val isWhy = at == 0 && entry.tone != Tone.PLAIN
                        val style = if (isWhy) Look.type.smallStrong else Look.type.small
                        Say(catalogue.say(line), style = style, color = if (isWhy) Look.palette.card.on else Look.palette.cardQuiet)
                    }
                }
            }
        }
    }

    /** The sign of a row that is not as always. What it means stands in the row's lines. */
    @Composable
    private fun Sealed(tone: Tone) = Emblem(
        when (tone) {
            Tone.PLAIN -> Signs.told
            Tone.GOOD -> Signs.done
            Tone.CARE -> Signs.care
            Tone.ALARM -> Signs.stop
        },
        tone.kit(),
        32.dp,
    )

    @Composable
    private fun Shown(choices: Part.Choices) = Column(verticalArrangement = Arrangement.spacedBy(10.dp)) {
        Heading(catalogue.say(choices.label))
        choices.choices.forEach {
            val press = action(it.button)
            if (choices.isOne) Radio(press, it.isChosen) else Tick(press, it.isChosen)
        }
    }

    @Composable
    private fun Shown(field: FieldAsked) = Field(
        catalogue.say(field.label),
        typed[field.name] ?: field.content,
        when (field.kind) {
            FieldKind.LINE -> Asked.Text
            FieldKind.NUMBER -> Asked.Number
            FieldKind.CODE, FieldKind.WORDS -> Asked.Long
            FieldKind.ANSWER -> Asked.Answer
            FieldKind.PASSPHRASE -> Asked.Secret
        },
    ) {
        typed[field.name] = it
        if (!field.kind.isSecret) onAction(Act.Typed(field.name, it))
    }

    @Composable
    private fun Shown(picture: PictureShown) {
        val on = Look.palette.dark.on
        Column(
            Modifier.fillMaxWidth().clip(RoundedCornerShape(Look.round)).background(Look.palette.dark.below).padding(14.dp),
            Arrangement.spacedBy(8.dp),
        ) {
            // Who, when and which side stand on every picture, and are never laid over what is looked at.
            Say(picture.identity, style = Look.type.smallStrong, color = on)
            Say(picture.made, style = Look.type.small, color = on)
            Box(Modifier.fillMaxWidth().aspectRatio(1f), Alignment.Center) {
                val image = shell.picture(picture.view, picture.at)
                val about = listOf(picture.identity, picture.made, picture.side).filter { it.isNotEmpty() }.joinToString(", ")
                if (image != null) Image(image, about, Modifier.fillMaxSize(), contentScale = ContentScale.Fit)
            }
            if (picture.side.isNotEmpty()) Say(picture.side, style = Look.type.strong, color = on)
            Say(catalogue.say(picture.warning), style = Look.type.smallStrong, color = on)
        }
    }
}

/** A QR code, dark on white in either look, with the quiet edge that readers need. */
@Composable
private fun Code(rows: List<BooleanArray>, spoken: String) = Box(Modifier.fillMaxWidth(), Alignment.Center) {
    androidx.compose.foundation.Canvas(
        Modifier.sizeIn(maxWidth = 320.dp).fillMaxWidth().aspectRatio(1f)
            .clip(RoundedCornerShape(Look.round)).background(Color.White).semantics { contentDescription = spoken },
    ) {
        val unit = size.minDimension / (rows.size + 8)
        rows.forEachIndexed { y, row ->
            row.forEachIndexed { x, dark ->
                if (dark) {
                    val from = androidx.compose.ui.geometry.Offset((x + 4) * unit, (y + 4) * unit)
                    drawRect(Color.Black, from, androidx.compose.ui.geometry.Size(unit + 0.5f, unit + 0.5f))
                }
            }
        }
    }
}

/** The words of a wallet, with their numbers, in two columns while they fit. */
@Composable
private fun Words(words: List<String>) {
    val columns = if (LocalDensity.current.fontScale < 1.5f) 2 else 1
    val each = (words.size + columns - 1) / columns
    Card {
        Row(horizontalArrangement = Arrangement.spacedBy(16.dp)) {
            words.chunked(maxOf(each, 1)).forEachIndexed { column, part ->
                Column(Modifier.weight(1f), Arrangement.spacedBy(8.dp)) {
                    part.forEachIndexed { at, word ->
                        Row(Modifier.semantics(mergeDescendants = true) {}, Arrangement.spacedBy(8.dp)) {
                            Say("${column * each + at + 1}", Modifier.sizeIn(minWidth = 26.dp), Look.type.small, Look.palette.cardQuiet, TextAlign.End)
                            Say(word, style = Look.type.strong, color = Look.palette.card.on)
                        }
                    }
                }
            }
        }
    }
}

/** Four words that stand on two screens: as large as they fit, to be read aloud. */
@Composable
private fun FourWords(words: String) {
    val palette = Look.palette
    Column(
        Modifier.fillMaxWidth().clip(RoundedCornerShape(Look.round)).background(palette.chosen.below)
            .border(2.dp, palette.link, RoundedCornerShape(Look.round)).semantics(mergeDescendants = true) {}.padding(20.dp),
        Arrangement.spacedBy(8.dp),
        Alignment.CenterHorizontally,
    ) {
        words.split(' ').filter { it.isNotEmpty() }.forEach { Say(it, style = Look.type.title, color = palette.chosen.on) }
    }
}
