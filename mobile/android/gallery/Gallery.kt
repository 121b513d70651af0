package clavicle.gallery

import androidx.compose.foundation.background
import androidx.compose.foundation.layout.Box
import androidx.compose.runtime.Composable
import androidx.compose.runtime.CompositionLocalProvider
import androidx.compose.ui.ExperimentalComposeUiApi
import androidx.compose.ui.ImageComposeScene
import androidx.compose.ui.Modifier
import androidx.compose.ui.graphics.Color
import androidx.compose.ui.graphics.ImageBitmap
import androidx.compose.ui.graphics.toComposeImageBitmap
import androidx.compose.ui.platform.LocalLayoutDirection
import androidx.compose.ui.text.font.FontFamily
import androidx.compose.ui.text.font.FontWeight
import androidx.compose.ui.text.platform.Font
import androidx.compose.ui.unit.Density
import androidx.compose.ui.unit.LayoutDirection
import clavicle.ui.kit.Clavicle
import clavicle.ui.kit.Drawn
import clavicle.ui.kit.Look
import clavicle.ui.kit.Signs
import clavicle.ui.page.*
import java.awt.image.BufferedImage
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.time.ZoneId
import java.util.Locale
import kotlin.math.exp
import kotlin.math.hypot
import kotlin.system.exitProcess
import org.jetbrains.skia.Bitmap
import org.jetbrains.skia.ColorAlphaType
import org.jetbrains.skia.ColorType
import org.jetbrains.skia.Image
import org.jetbrains.skia.ImageInfo

/** A telephone of middling size, in dp, and how many pixels a dp has here. */
private const val WIDTH = 400
private const val HEIGHT = 860
private const val DENSITY = 2f

/** How a state is looked at. */
enum class View(val dark: Boolean, val scale: Float) {
    LIGHT(false, 1f),
    LARGE(false, 2f),
    DARK(true, 1f),
    GERMAN(false, 1f),
    PSEUDO(false, 1f),
    RIGHT_TO_LEFT(false, 1f),
}

/** One typeface wherever this runs; a phone takes its own. */
private val roboto = File(System.getProperty("clavicle.typeface")).let { folder ->
    FontFamily(
        Font(folder.resolve("400Regular/Roboto_400Regular.ttf"), FontWeight.Normal),
        Font(folder.resolve("600SemiBold/Roboto_600SemiBold.ttf"), FontWeight.SemiBold),
    )
}

/** Stands for what only a telephone has: shapes, not pictures of anybody. */
object Stage : Shell {
    @Composable
    override fun Camera(torch: Boolean, modifier: Modifier) = Box(modifier.background(Look.palette.dark.below), androidx.compose.ui.Alignment.Center) {
        Drawn(Signs.scan, Look.palette.dark.on, size = androidx.compose.ui.unit.Dp(160f), weight = 0.6f)
    }

    /** As many squares as a code has, and three corners: no code that can be read. */
    override fun code(content: String): List<BooleanArray> {
        var seed = content.hashCode().toLong() or 1
        return List(49) { y ->
            BooleanArray(49) { x ->
                seed = seed * 6364136223846793005 + 1442695040888963407
                val corner = corner(x, y) ?: corner(48 - x, y) ?: corner(x, 48 - y)
                corner ?: ((seed ushr 33) and 1L == 1L)
            }
        }
    }

    private fun corner(x: Int, y: Int): Boolean? = when {
        x > 7 || y > 7 -> null
        x == 7 || y == 7 -> false
        else -> x == 0 || x == 6 || y == 0 || y == 6 || (x in 2..4 && y in 2..4)
    }

    override fun words() = List(24) { WORDS[it % WORDS.size] }

    /** An ellipse with two lobes, made here. */
    override fun picture(view: Int, at: Int): ImageBitmap {
        val side = 256
        val image = BufferedImage(side, side, BufferedImage.TYPE_INT_RGB)
        for (y in 0 until side) for (x in 0 until side) {
            val (u, v) = (x - 128) / 128.0 to (y - 128) / 128.0
            val body = if (hypot(u / 0.9, v / 0.7) < 1) 0.55 else 0.03
            val lobes = listOf(-0.38, 0.38).sumOf { 0.5 * exp(-8 * (hypot((u - it) / 0.8, v) * 1.6).let { r -> r * r }) }
            val spine = 0.4 * exp(-60 * hypot(u, v - 0.4).let { it * it })
            val grey = ((body - (if (body > 0.1) lobes else 0.0) + spine).coerceIn(0.0, 1.0) * 255).toInt()
            image.setRGB(x, y, grey shl 16 or (grey shl 8) or grey)
        }
        return image.toComposeImageBitmap()
    }

    private val WORDS = ("abandon ability able about above absent absorb abstract absurd abuse access accident account accuse achieve acid " +
        "acoustic acquire across act action actor actress actual").split(' ')
}

/** A scene of one page. It is as high as it must be for all of it to be seen, and at least as a telephone. */
@OptIn(ExperimentalComposeUiApi::class)
class Shown(val page: Page, val catalogue: Catalogue, look: View, height: Int = HEIGHT, density: Float = DENSITY, private val drawn: (@Composable () -> Unit)? = null) :
    AutoCloseable {
    val acts = mutableListOf<Act>()
    val density = Density(density, look.scale)
    private val direction = if (look == View.RIGHT_TO_LEFT) LayoutDirection.Rtl else LayoutDirection.Ltr
    val scene = ImageComposeScene((WIDTH * density).toInt(), (height * density).toInt(), this.density, direction) {
        CompositionLocalProvider(LocalLayoutDirection provides direction) {
            Clavicle(look.dark, roboto) { drawn?.invoke() ?: Screen(page, catalogue, Stage) { acts += it } }
        }
    }

    /** Laid out and drawn, after whatever comes in at first has come in. */
    fun render(): Image {
        scene.render(0).close()
        return scene.render(1_000_000_000)
    }

    override fun close() = scene.close()
}

/** What was drawn, as a table of colours. */
fun pixels(image: Image): BufferedImage {
    val bitmap = Bitmap.makeFromImage(image)
    val bytes = ByteBuffer.wrap(bitmap.readPixels(ImageInfo(image.width, image.height, ColorType.BGRA_8888, ColorAlphaType.OPAQUE)) ?: error("no pixels"))
    val colours = IntArray(image.width * image.height)
    bytes.order(ByteOrder.LITTLE_ENDIAN).asIntBuffer().get(colours)
    return BufferedImage(image.width, image.height, BufferedImage.TYPE_INT_RGB).apply { setRGB(0, 0, image.width, image.height, colours, 0, image.width) }
}

fun main(arguments: Array<String>) {
    val (states, strings, out) = arguments.map(::File)
    val pages = named(Read.pages(states.readText()))
    fun patterns(language: String) = (Json.read(strings.resolve("$language.json").readText()) as Map<*, *>).entries.associate { it.key as String to it.value as String }
    val english = patterns("en")
    val catalogues = View.values().associateWith { look ->
        val patterns = when (look) {
            View.PSEUDO -> english.mapValues { Pseudo.accented(it.value) }
            View.RIGHT_TO_LEFT -> english.mapValues { Pseudo.rightToLeft(it.value) }
            View.GERMAN -> patterns("de")
            else -> english
        }
        Catalogue(patterns, if (look == View.GERMAN) Locale.GERMANY else Locale.UK, ZoneId.of("Europe/Berlin"))
    }
    val faults = mutableListOf<String>()
    faults += Checks.palettes()
    faults += Bad.unseen(pages.first().second, catalogues.getValue(View.LIGHT))
    var pictures = 0
    for ((at, named) in pages.withIndex()) for (look in looks(at, pages.size)) {
        val (name, page) = named
        val folder = out.resolve(look.name.lowercase()).apply { mkdirs() }
        val catalogue = catalogues.getValue(look)
        val found = mutableListOf<String>()
        val more = Shown(page, catalogue, look, density = 1f).use { it.render().close(); Checks.fold(it, found) }
        Shown(page, catalogue, look, HEIGHT + more).use { shown ->
            val image = shown.render()
            folder.resolve("$name.png").writeBytes(image.encodeToData()?.bytes ?: error("no picture of $name"))
            pictures++
            Checks.shown(shown, pixels(image), found)
            if (look == View.LIGHT || look == View.RIGHT_TO_LEFT) Checks.presses(shown, found)
        }
        faults += found.map { "$name, ${look.name.lowercase()}: $it" }
    }
    arguments.getOrNull(3)?.let { Book.write(File(it), pages, catalogues.getValue(View.LIGHT)) }
    faults.forEach(::println)
    println("gallery: ${pages.size} states, $pictures pictures, ${faults.size} faults")
    if (faults.isNotEmpty() || pages.isEmpty()) exitProcess(1)
}

/** Each with a name of its own: of several states of one name the second is `-2`. */
private fun named(pages: List<Page>): List<Pair<String, Page>> {
    val seen = HashMap<String, Int>()
    return pages.map { page ->
        val count = seen.merge(page.name, 1, Int::plus)!!
        (if (count == 1) page.name else "${page.name}-$count") to page
    }
}

/** Every state in light and with large text; ten of them, spread over all, in every way. */
private fun looks(at: Int, of: Int) = if (at % maxOf(of / 10, 1) == 0) View.values().toList() else listOf(View.LIGHT, View.LARGE)
