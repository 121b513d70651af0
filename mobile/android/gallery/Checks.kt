package clavicle.gallery

import androidx.compose.ui.ExperimentalComposeUiApi
import androidx.compose.ui.geometry.Offset
import androidx.compose.ui.geometry.Rect
import androidx.compose.ui.graphics.Color
import androidx.compose.ui.input.pointer.PointerEventType
import androidx.compose.ui.semantics.SemanticsActions
import androidx.compose.ui.semantics.SemanticsNode
import androidx.compose.ui.semantics.SemanticsProperties
import androidx.compose.ui.semantics.getOrNull
import androidx.compose.ui.text.AnnotatedString
import androidx.compose.ui.text.TextLayoutResult
import clavicle.ui.kit.Dark
import clavicle.ui.kit.Light
import clavicle.ui.kit.pairsToRead
import clavicle.ui.kit.pairsToSee
import clavicle.ui.page.*
import java.awt.image.BufferedImage
import kotlin.math.max
import kotlin.math.min
import kotlin.math.pow

/** What a program can say of a picture: contrast, sizes for fingers, names for those who listen, and that each button does what it says. */
@OptIn(ExperimentalComposeUiApi::class)
object Checks {
    /** WCAG 2.2, 1.4.3 and 1.4.11. */
    private const val TO_READ = 4.5
    private const val TO_SEE = 3.0
    private const val TOUCH = 48f

    /** A key of the catalogue, shown because it is not in there. */
    private val NO_WORD = Regex("[a-z_]+(\\.[a-z_]+)+")

    fun palettes(): List<String> = listOf("light" to Light, "dark" to Dark).flatMap { (name, palette) ->
        fun low(pairs: List<Triple<String, Color, Color>>, least: Double) = pairs.mapNotNull { (what, below, on) ->
            val found = contrast(rgb(below), rgb(on))
            if (found < least) "palette $name: $what has a contrast of %.2f, and needs %.1f".format(found, least) else null
        }
        low(pairsToRead(palette), TO_READ) + low(pairsToSee(palette), TO_SEE)
    }

    /** By how many dp the page is higher than a telephone. What is left between the bars must be worth scrolling in. */
    fun fold(shown: Shown, found: MutableList<String>): Int {
        val nodes = nodes(shown)
        val scrolled = nodes.firstOrNull { it.config.contains(SemanticsProperties.VerticalScrollAxisRange) } ?: return 0.also { found += "nothing scrolls" }
        if (scrolled.size.height / shown.density.density < 280) found += "buttons leave less than 280 dp for what they are about"
        val range = scrolled.config[SemanticsProperties.VerticalScrollAxisRange]
        return (range.maxValue() / shown.density.density).toInt().let { if (it == 0) 0 else it + 1 }
    }

    fun shown(shown: Shown, image: BufferedImage, found: MutableList<String>) {
        val nodes = nodes(shown)
        val dp = shown.density.density
        val targets = nodes.filter { it.config.contains(SemanticsActions.OnClick) && !it.config.contains(SemanticsActions.SetText) }
        for (node in targets) {
            val label = label(node)
            if (label.isEmpty()) found += "something can be pressed that has no name"
            val (width, height) = node.size.width / dp to node.size.height / dp
            if (width < TOUCH || height < TOUCH) found += "“$label” is %.0f × %.0f dp, and a finger needs 48".format(width, height)
            targets.firstOrNull { it !== node && it.id > node.id && it.boundsInRoot.overlaps(node.boundsInRoot) }
                ?.let { found += "“$label” and “${label(it)}” lie over each other" }
        }
        if (nodes.count { it.config.contains(SemanticsProperties.Heading) } == 0) found += "no heading"
        for (node in unmerged(shown)) {
            val text = node.config.getOrNull(SemanticsProperties.Text)?.joinToString(" ") ?: continue
            val layout = mutableListOf<TextLayoutResult>()
            node.config.getOrNull(SemanticsActions.GetTextLayoutResult)?.action?.invoke(layout)
            if (NO_WORD.matches(text)) found += "nobody says $text"
            if (layout.any(::isCutOff)) found += "“$text” is cut off"
            contrastOf(image, node.boundsInRoot)?.let { if (it < TO_READ) found += "“$text” has a contrast of %.2f".format(it) }
        }
    }

    /** Each button is found by what it says, and pressed with a finger; what comes of it is what the state says, and what was typed comes along. */
    fun presses(shown: Shown, found: MutableList<String>) {
        val page = shown.page
        val fields = page.parts.mapNotNull { (it as? Part.Field)?.field }
        for (field in fields) {
            val label = shown.catalogue.say(field.label)
            val node = nodes(shown).firstOrNull { it.config.contains(SemanticsActions.SetText) && label(it) == label }
            node?.config?.get(SemanticsActions.SetText)?.action?.invoke(AnnotatedString(typedInto(field)))
            val isTold = shown.acts.any { it is Act.Typed && it.field == field.name && it.text == typedInto(field) }
            if (node == null) found += "no field “$label”" else if (isTold == field.kind.isSecret) found += "“$label” is told wrongly as it is typed"
        }
        shown.scene.render(2_000_000_000)
        for ((press, count) in buttons(page).groupingBy { it }.eachCount()) {
            val label = shown.catalogue.say(press.text)
            val named = nodes(shown).filter { it.config.contains(SemanticsActions.OnClick) && says(it, label) }
            shown.acts.clear()
            named.forEach { tap(shown, it.boundsInRoot.center) }
            if (!press.isPossible) {
                if (shown.acts.isNotEmpty()) found += "“$label” cannot be pressed, and was"
                continue
            }
            if (shown.acts.count { it == Act.Pressed(press) } < count) found += "“$label” does not press ${press.id}"
            val secrets = fields.filter { it.kind.isSecret }
            val handed = shown.acts.takeWhile { it is Act.Secret }.map { (it as Act.Secret).field to String(it.text) }
            if (handed != secrets.map { it.name to typedInto(it) }) found += "“$label” does not hand on what is secret"
        }
    }

    private fun typedInto(field: FieldAsked) = "7 typed into ${field.name}"

    fun buttons(page: Page): List<Press> = page.banners.mapNotNull { it.button } + page.parts.flatMap { part ->
        when (part) {
            is Part.Rows -> part.rows.mapNotNull { it.button }
            is Part.Choices -> part.choices.map { it.button }
            else -> emptyList()
        }
    } + page.main + page.others + page.back

    private fun tap(shown: Shown, at: Offset) {
        shown.scene.sendPointerEvent(PointerEventType.Press, at)
        shown.scene.sendPointerEvent(PointerEventType.Release, at)
    }

    private fun nodes(shown: Shown) = all(shown.scene.roots.single().semanticsOwner.rootSemanticsNode)
    private fun unmerged(shown: Shown) = all(shown.scene.roots.single().semanticsOwner.unmergedRootSemanticsNode)
    private fun all(node: SemanticsNode): List<SemanticsNode> = listOf(node) + node.children.flatMap(::all)

    private fun texts(node: SemanticsNode) = node.config.getOrNull(SemanticsProperties.Text).orEmpty().map { it.text } +
        node.config.getOrNull(SemanticsProperties.ContentDescription).orEmpty()
    private fun label(node: SemanticsNode) = texts(node).joinToString(" ")
    private fun says(node: SemanticsNode, label: String) = texts(node).any { it == label }

    /** The contrast of what is written in [bounds] with what most of it is: none where nothing is written. */
    private fun contrastOf(image: BufferedImage, bounds: Rect): Double? {
        val counts = HashMap<Int, Int>()
        for (y in max(bounds.top.toInt(), 0) until min(bounds.bottom.toInt(), image.height)) {
            for (x in max(bounds.left.toInt(), 0) until min(bounds.right.toInt(), image.width)) {
                counts.merge(image.getRGB(x, y) and 0xFFFFFF, 1, Int::plus)
            }
        }
        val below = counts.maxByOrNull { it.value }?.key ?: return null
        // (Pixels at the edge of letters are between the two; those inside are not, and there are several.)
        return counts.filter { it.key != below && it.value >= 4 }.maxOfOrNull { contrast(it.key, below) }
    }

    /** (That a layout says so itself is no help: it does when it is narrower than it might have been.) */
    private fun isCutOff(layout: TextLayoutResult) = layout.didOverflowHeight ||
        (0 until layout.lineCount).any { layout.isLineEllipsized(it) || layout.getLineRight(it) - layout.getLineLeft(it) > layout.size.width + 1 }

    private fun rgb(color: Color) = ((color.red * 255).toInt() shl 16) or ((color.green * 255).toInt() shl 8) or (color.blue * 255).toInt()

    /** WCAG 2.2, "contrast ratio". */
    private fun contrast(one: Int, other: Int): Double {
        val (a, b) = luminance(one) to luminance(other)
        return (max(a, b) + 0.05) / (min(a, b) + 0.05)
    }

    private fun luminance(rgb: Int): Double {
        fun part(shift: Int) = ((rgb shr shift and 255) / 255.0).let { if (it <= 0.04045) it / 12.92 else ((it + 0.055) / 1.055).pow(2.4) }
        return 0.2126 * part(16) + 0.7152 * part(8) + 0.0722 * part(0)
    }
}
